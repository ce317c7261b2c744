//! Where systemd looks for the units of nodes, and what they are called.

use std::path::{Path, PathBuf};

/// Where units of the machine lie.
pub const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// Where units of this user lie.
pub fn user_units() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".config"));
    config.or_else(home).map(|config| config.join("systemd/user"))
}

/// The command that starts the node of this home folder as the service that it is installed as, if it is.
pub fn start_command(home: &Path) -> Option<String> {
    let name = unit_name(home);
    let of_user = user_units().map(|folder| (folder, "systemctl --user start"));
    let of_system = Some((PathBuf::from(SYSTEM_UNITS), "systemctl start"));
    let installed = of_user.into_iter().chain(of_system).find(|(folder, _)| folder.join(&name).is_file());
    installed.map(|(_, start)| format!("{start} {name}"))
}

/// `fsdfs.service`; for another home than the default, named after it, so that several nodes can be installed.
pub fn unit_name(home: &Path) -> String {
    let is_safe = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    match home.file_name().map(|name| name.to_string_lossy().chars().filter(is_safe).collect::<String>()) {
        Some(name) if !name.is_empty() && name != "fsdfs" => format!("fsdfs-{name}.service"),
        _ => "fsdfs.service".into(),
    }
}
