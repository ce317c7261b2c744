//! The file as typed, and the check.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::bandwidth::{BandwidthLimits, BandwidthPlan};
use super::checked::{Config, ConfigError, CongestionControl, Log, LogFormat, SCRUB_DAYS, Storage, scrub_round};
use super::filter::log_filter;
use super::hours::HourRule;
use super::values::{self, BadValue};
use crate::store::IfMissing;

/// `config.toml` as it was typed. What is not said takes its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<Spanned<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mdns: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relay: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) congestion: Option<CongestionControl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port_mapping: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uplink: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) control_group: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bandwidth: Option<RawBandwidth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scrub: Option<RawScrub>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) space: Option<RawSpace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<RawLog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<Vec<RawStorage>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBandwidth {
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Spanned<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hours: Vec<Spanned<String>>,
    #[serde(default)]
    metered: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawScrub {
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<Spanned<u64>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSpace {
    #[serde(default)]
    collect: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLog {
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Spanned<String>>,
    #[serde(default)]
    format: LogFormat,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStorage {
    pub(crate) path: Spanned<PathBuf>,
    pub(crate) size: Spanned<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    if_missing: Option<RawIfMissing>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawIfMissing {
    Refuse,
    Skip,
    Reinitialize,
}

impl From<RawIfMissing> for IfMissing {
    fn from(raw: RawIfMissing) -> Self {
        match raw {
            RawIfMissing::Refuse => Self::Refuse,
            RawIfMissing::Skip => Self::Skip,
            RawIfMissing::Reinitialize => Self::Reinitialize,
        }
    }
}

impl RawConfig {
    /// Reads TOML; unknown keys are refused.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax {
            file: file.to_owned(),
            problem: error.to_string().trim().to_owned(),
        })
    }

    pub(crate) fn storage(path: &Path, quota_bytes: u64) -> RawStorage {
        let size = bytesize::ByteSize(quota_bytes).display().iec().to_string();
        // The readable form is used only if it means the same number.
        let is_exact = values::size(&size).is_ok_and(|bytes| bytes == quota_bytes);
        let size = if is_exact { size } else { format!("{quota_bytes} B") };
        RawStorage { path: Spanned::new(0..0, path.to_owned()), size: Spanned::new(0..0, size), if_missing: None }
    }

    /// Checks every value. `text` is what was parsed, so that errors can name the line.
    pub fn check(self, home: &Path, file: &Path, text: &str, unit_bytes: u64) -> Result<Config, ConfigError> {
        let at = ValuePlaces { file, text };
        let listen = at.value("listen", self.listen.as_ref(), |text| values::listen(text))?;
        Ok(Config {
            name: at.value("name", self.name.as_ref(), |text| values::label(text))?,
            site: at.optional("site", self.site.as_ref(), |text| values::label(text))?,
            storage: at.storage(home, self.storage.as_deref(), unit_bytes)?,
            listen: if listen.port() > 0 { listen } else { return Err(at.error("listen", 0, "needs a port")) },
            addresses: at.addresses(&self.addresses)?,
            mdns: self.mdns.unwrap_or(true),
            relay: self.relay.unwrap_or(true),
            congestion: self.congestion.unwrap_or_default(),
            port_mapping: self.port_mapping.unwrap_or(true),
            uplink_kib: at.optional("uplink", self.uplink.as_ref(), |text| uplink_kib(text))?,
            control_group: self.control_group.map(Spanned::into_inner),
            bandwidth: at.bandwidth(&self.bandwidth.unwrap_or_default())?,
            scrub: at.scrub(self.scrub.as_ref())?,
            collect: self.space.as_ref().is_some_and(|space| space.collect),
            log: at.log(self.log)?,
            unit_bytes,
        })
    }
}

/// They are looked at some times a second.
const HOUR_RULES_MAX: usize = 32;

fn uplink_kib(text: &str) -> Result<u32, BadValue> {
    let kib = values::size(text)? / 1024;
    u32::try_from(kib).ok().filter(|kib| *kib > 0).ok_or_else(|| {
        BadValue(format!("{text:?} is not a speed in bytes per second, such as \"5 MiB\" (from 1 KiB to 4 TiB)"))
    })
}

/// Turns positions into lines for error messages.
struct ValuePlaces<'a> {
    file: &'a Path,
    text: &'a str,
}

impl ValuePlaces<'_> {
    fn error(&self, key: &'static str, line: usize, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value { file: self.file.to_owned(), line, key, problem: problem.into() }
    }

    fn line<T>(&self, value: &Spanned<T>) -> usize {
        1 + self.text.get(..value.span().start).unwrap_or_default().matches('\n').count()
    }

    fn checked<T, U>(
        &self,
        key: &'static str,
        value: &Spanned<T>,
        check: impl Fn(&T) -> Result<U, BadValue>,
    ) -> Result<U, ConfigError> {
        check(value.get_ref()).map_err(|bad| self.error(key, self.line(value), bad.to_string()))
    }

    fn optional<T, U>(
        &self,
        key: &'static str,
        value: Option<&Spanned<T>>,
        check: impl Fn(&T) -> Result<U, BadValue>,
    ) -> Result<Option<U>, ConfigError> {
        value.map(|value| self.checked(key, value, check)).transpose()
    }

    fn value<T, U>(
        &self,
        key: &'static str,
        value: Option<&Spanned<T>>,
        check: impl Fn(&T) -> Result<U, BadValue>,
    ) -> Result<U, ConfigError> {
        self.optional(key, value, check)?.ok_or_else(|| {
            self.error(
                key,
                0,
                "is missing; the file is written by 'fsdfs init', 'join' or 'up', with a name and a port",
            )
        })
    }

    fn bandwidth(&self, raw: &RawBandwidth) -> Result<BandwidthPlan, ConfigError> {
        if let Some(more) = raw.hours.get(HOUR_RULES_MAX) {
            return Err(self.error(
                "hours",
                self.line(more),
                "has more than 32 rules; of those that fit the first counts",
            ));
        }
        let default = BandwidthLimits::default();
        let rate = |key, value: Option<&Spanned<String>>| self.optional(key, value, |text| values::rate(text));
        let repair = self.optional("repair", raw.repair.as_ref(), |text| values::percent(text))?;
        let rules = raw.hours.iter().map(|rule| self.checked("hours", rule, |text| text.parse::<HourRule>()));
        Ok(BandwidthPlan {
            base: BandwidthLimits {
                upload: rate("upload", raw.upload.as_ref())?.flatten(),
                download: rate("download", raw.download.as_ref())?.flatten(),
                repair_percent: repair.unwrap_or(default.repair_percent),
            },
            hours: rules.collect::<Result<_, _>>()?,
            metered: raw.metered,
        })
    }

    fn scrub(&self, raw: Option<&RawScrub>) -> Result<Duration, ConfigError> {
        let days = raw.and_then(|raw| raw.days.as_ref());
        let days = self.optional("days", days, |days| match days {
            1..=365 => Ok(*days),
            _ => Err(BadValue(format!("{days} is not a number of days from 1 to 365"))),
        })?;
        Ok(scrub_round(days.unwrap_or(SCRUB_DAYS)))
    }

    fn log(&self, raw: Option<RawLog>) -> Result<Log, ConfigError> {
        let raw = raw.unwrap_or_default();
        let filter = self.optional("filter", raw.filter.as_ref(), |text| log_filter(text))?;
        Ok(Log { filter, format: raw.format })
    }

    fn addresses(&self, addresses: &[Spanned<String>]) -> Result<Vec<String>, ConfigError> {
        if let Some(ninth) = addresses.get(8) {
            return Err(self.error("addresses", self.line(ninth), "has more than 8 items; keep those that work best"));
        }
        addresses.iter().map(|address| self.checked("addresses", address, |text| values::address(text))).collect()
    }

    fn storage(&self, home: &Path, raw: Option<&[RawStorage]>, unit: u64) -> Result<Vec<Storage>, ConfigError> {
        let missing = "is missing; add a [[storage]] section with path and size, or the line 'storage = []' for none";
        let raw = raw.ok_or_else(|| self.error("storage", 0, missing))?;
        if raw.len() > 64 {
            return Err(self.error("storage", self.line(&raw[64].path), "has more than 64 folders"));
        }
        let mut storage: Vec<Storage> = Vec::new();
        for folder in raw {
            let path = normal(&home.join(folder.path.get_ref()));
            if let Some(other) =
                storage.iter().find(|other| path.starts_with(&other.path) || other.path.starts_with(&path))
            {
                let problem = format!("{} lies inside {}, or is the same folder", path.display(), other.path.display());
                return Err(self.error("path", self.line(&folder.path), problem));
            }
            let quota_bytes = self.checked("size", &folder.size, |text| quota(text, unit))?;
            let if_missing = folder.if_missing.map(IfMissing::from).unwrap_or_default();
            storage.push(Storage { path, quota_bytes, if_missing });
        }
        Ok(storage)
    }
}

fn quota(text: &str, unit: u64) -> Result<u64, BadValue> {
    let bytes = values::size(text)?;
    if bytes < unit {
        return Err(BadValue(format!(
            "{text:?} is too small: a storage folder has at least {}",
            bytesize::ByteSize(unit)
        )));
    }
    Ok(bytes)
}

/// The path without `.`; two spellings of one folder are found by comparing.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"zoe\"\nlisten = \"24007\"\n";

    fn check(text: &str) -> Result<Config, String> {
        let file = Path::new("config.toml");
        let raw = RawConfig::parse(file, text).map_err(|error| error.to_string())?;
        raw.check(Path::new("/home"), file, text, 1 << 30).map_err(|error| error.to_string())
    }

    #[test]
    fn a_full_file() {
        let text = HEAD.to_owned()
            + "site = \"hill\"\naddresses = [\"zoe.example.org:24007\"]\nmdns = false\nport_mapping = false\nuplink = \"5 MiB\"\n[log]\nfilter = \"debug\"\n\
               format = \"json\"\n[[storage]]\npath = \"./blocks\"\nsize = \"10 GiB\"\n[[storage]]\npath = \"/mnt\"\nsize = \"1GiB\"\nif_missing = \"reinitialize\"\n";
        let config = check(&text).expect("valid");
        assert_eq!(config.site.as_deref(), Some("hill"));
        assert_eq!((config.mdns, config.port_mapping, config.uplink_kib), (false, false, Some(5120)));
        assert_eq!(config.log.format, LogFormat::Json);
        let folder =
            |path: &str, gib: u64, if_missing| Storage { path: path.into(), quota_bytes: gib << 30, if_missing };
        let expected = [folder("/home/blocks", 10, IfMissing::Skip), folder("/mnt", 1, IfMissing::Reinitialize)];
        assert_eq!(config.storage, expected);
    }

    #[test]
    fn errors_name_file_line_key_and_what_would_be_right() {
        let storage = |path: &str, size: &str| format!("[[storage]]\npath = {path:?}\nsize = {size:?}\n");
        let cases = [
            ("name = \"zoe\"\n".to_owned(), "listen is missing"),
            (HEAD.to_owned(), "storage is missing; add a [[storage]] section"),
            (HEAD.to_owned() + "quota = 3\n", "line 3"),
            (HEAD.to_owned() + "quota = 3\n", "unknown field `quota`"),
            (HEAD.to_owned() + "mdns = 3\n", "line 3"),
            (
                HEAD.to_owned() + "storage = []\naddresses = [\n\"zoe\"]\n",
                "config.toml, line 5: addresses \"zoe\" is not HOST:PORT",
            ),
            (HEAD.to_owned() + &storage("/a", "10 MiB"), "line 5: size \"10 MiB\" is too small"),
            (HEAD.to_owned() + &storage("/a", "many"), "line 5: size \"many\" is not a size"),
            (
                HEAD.to_owned() + &storage("/a", "1GiB") + &storage("/a/b/../c", "1GiB"),
                "line 7: path /a/b/../c lies inside /a",
            ),
            ("name = \"\"\nlisten = \"0\"\n".to_owned(), "line 1: name \"\" is not 1 to 64 bytes"),
            ("name = \"z\"\nlisten = \"0\"\nstorage = []\n".to_owned(), "listen needs a port"),
            (HEAD.to_owned() + "storage = []\nuplink = \"1\"\n", "line 4: uplink \"1\" is not a speed"),
            (
                HEAD.to_owned() + "storage = []\n[bandwidth]\nupload = \"fast\"\n",
                "line 5: upload \"fast\" is no speed; write",
            ),
            (
                HEAD.to_owned() + "storage = []\n[bandwidth]\nrepair = \"25 %\"\nhours = [\n\"22:00 upload=none\"]\n",
                "line 7: hours \"22:00 upload=none\" is no rule for hours: the time is no span",
            ),
            (HEAD.to_owned() + "storage = []\n[bandwidth]\nuplaod = \"none\"\n", "unknown field `uplaod`"),
            (
                HEAD.to_owned() + "storage = []\n[scrub]\ndays = 0\n",
                "line 5: days 0 is not a number of days from 1 to 365",
            ),
            (HEAD.to_owned() + "storage = []\n[log]\nfilter = \"inof\"\n", "line 5: filter \"inof\" names \"inof\""),
        ];
        for (text, expected) in cases {
            let error = check(&text).expect_err(&text);
            assert!(error.contains(expected), "{error}\nshould say: {expected}");
        }
        let least = check(&(HEAD.to_owned() + "storage = []\n")).expect("valid");
        assert_eq!(least.scrub, Duration::from_secs(30 * 86_400));
        let weekly = check(&(HEAD.to_owned() + "storage = []\n[scrub]\ndays = 7\n")).expect("valid");
        assert_eq!(weekly.scrub, Duration::from_secs(7 * 86_400));
        let collects = check(&(HEAD.to_owned() + "storage = []\n[space]\ncollect = true\n")).expect("valid");
        assert!(collects.collect && !least.collect);
        assert_eq!((least.storage, least.mdns, least.port_mapping), (vec![], true, true));
    }

    #[test]
    fn what_may_be_used_of_the_line() {
        let with = |section: &str| check(&(HEAD.to_owned() + "storage = []\n" + section)).expect("valid").bandwidth;
        assert_eq!(with(""), BandwidthPlan::default());
        let plan = with(
            "[bandwidth]\nupload = \"16 Mbit\"\ndownload = \"none\"\nrepair = \"25 %\"\nmetered = true\n\
             hours = [\"Mon-Fri 08:00-18:00 upload=4Mbit repair=0\", \"23:00-07:00 upload=none\"]\n",
        );
        assert_eq!(plan.base, BandwidthLimits { upload: Some(2_000_000), download: None, repair_percent: 25 });
        assert!(plan.metered && plan.hours.len() == 2);
    }
}
