//! From the file of a home folder to a checked configuration.

use std::path::Path;

use super::checked::{Config, ConfigError, unit_bytes};
use super::raw::RawConfig;
use crate::files;

impl Config {
    /// Reads and checks the file of a home folder.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let file = Self::file(home);
        let text = files::read_text(&file)?;
        RawConfig::parse(&file, &text)?.check(home, &file, &text, unit_bytes()?)
    }
}
