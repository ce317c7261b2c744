//! The values that a config file and a command line have in common.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A value that cannot be used, as the rest of a sentence that begins with its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub String);

pub(super) fn bad<T>(problem: impl Into<String>) -> Result<T, BadValue> {
    Err(BadValue(problem.into()))
}

/// `--storage`: a folder, perhaps with a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageArg {
    /// Where.
    pub path: PathBuf,
    /// None = as the default: a quarter of what is free there, at most 100 GiB.
    pub quota_bytes: Option<u64>,
}

/// Reads `PATH[:SIZE]`. What follows the last colon is a size only if it looks like one.
pub fn storage_arg(text: &str) -> Result<StorageArg, BadValue> {
    let (path, quota_bytes) = match text.rsplit_once(':') {
        Some((path, tail)) if tail.starts_with(|first: char| first.is_ascii_digit()) && !tail.contains('/') => {
            (path, Some(size(tail)?))
        }
        _ => (text, None),
    };
    if path.is_empty() {
        return bad(format!("{text:?} names no folder; write PATH or PATH:SIZE, such as /mnt/big/fsdfs:500GiB"));
    }
    Ok(StorageArg { path: path.into(), quota_bytes })
}

/// `10 GiB`, `10GB`, bytes without a unit.
pub fn size(text: &str) -> Result<u64, BadValue> {
    match text.trim().parse::<bytesize::ByteSize>() {
        Ok(size) if size.0 > 0 => Ok(size.0),
        _ => bad(format!("{text:?} is not a size; write such as \"500 GiB\" or \"2 TB\"")),
    }
}

/// Bytes per second below which a block of a megabyte takes longer than half a minute: others would take the node for gone.
const RATE_MIN: u64 = 32_000;

/// A speed in bytes per second: `16 Mbit`, `500kbit/s`, `2 MiB/s`; `none` is no limit.
pub fn rate(text: &str) -> Result<Option<u64>, BadValue> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let typed = text.trim().strip_suffix("/s").unwrap_or(text.trim());
    let amount = typed.to_ascii_lowercase();
    let bits = amount.strip_suffix("bit").or_else(|| amount.strip_suffix("bps"));
    // Megabytes or megabits: both are written so.
    let is_unclear = bits.is_none() && typed.ends_with('b') && !amount.ends_with("ib");
    let bytes = match (bits.unwrap_or(&amount).trim().parse::<bytesize::ByteSize>(), bits) {
        (Ok(size), Some(_)) if !is_unclear => size.0 / 8,
        (Ok(size), None) if !is_unclear => size.0,
        _ => {
            return bad(format!(
                "{text:?} is no speed; write such as \"16 Mbit\" or \"2 MiB/s\", or \"none\" for no limit"
            ));
        }
    };
    if bytes < RATE_MIN { too_slow(&format!("{text:?}")) } else { Ok(Some(bytes)) }
}

/// The same as a number of bytes per second, of which 0 is no limit.
pub fn rate_of_bytes(bytes: u64) -> Result<Option<u64>, BadValue> {
    match bytes {
        0 => Ok(None),
        1..RATE_MIN => too_slow(&format!("{bytes} bytes per second")),
        _ => Ok(Some(bytes)),
    }
}

fn too_slow<T>(what: &str) -> Result<T, BadValue> {
    bad(format!(
        "{what} is less than 256 kbit, with which a block takes half a minute; write 256 kbit or more, or \"none\" for no limit"
    ))
}

/// `25 %`, `0`.
pub fn percent(text: &str) -> Result<u8, BadValue> {
    let number = text.trim().strip_suffix('%').unwrap_or(text.trim()).trim_end();
    match number.parse() {
        Ok(percent @ 0..=100) => Ok(percent),
        _ => bad(format!("{text:?} is no share; write a percentage from \"0 %\" to \"100 %\"")),
    }
}

/// A port, or `IP:PORT`. Port 0 lets the system choose (once, when the pool is made).
pub fn listen(text: &str) -> Result<SocketAddr, BadValue> {
    let port = text.parse().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    match port.or_else(|_| text.parse()) {
        Ok(addr) => Ok(addr),
        Err(_) => bad(format!("{text:?} is neither a UDP port nor IP:PORT, such as \"0.0.0.0:24007\"")),
    }
}

/// `HOST:PORT`; HOST may be a DNS name, or an IPv6 address in brackets.
pub fn address(text: &str) -> Result<String, BadValue> {
    let problem =
        || bad(format!("{text:?} is not HOST:PORT, such as \"zoe.example.org:24007\" or \"[2001:db8::1]:24007\""));
    let Some((host, port)) = text.rsplit_once(':') else { return problem() };
    let ipv6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match ipv6 {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    };
    if host_fits && text.len() <= 255 && port.parse::<u16>().is_ok_and(|port| port > 0) {
        Ok(text.to_owned())
    } else {
        problem()
    }
}

/// A name for people, as cards allow it.
pub fn label(text: &str) -> Result<String, BadValue> {
    if (1..=64).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text {
        Ok(text.to_owned())
    } else {
        bad(format!("{text:?} is not 1 to 64 bytes of text without control characters or blanks around it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_arguments() {
        let arg = |path: &str, quota_bytes| Ok(StorageArg { path: path.into(), quota_bytes });
        assert_eq!(storage_arg("/a"), arg("/a", None));
        assert_eq!(storage_arg("/a:10GiB"), arg("/a", Some(10 << 30)));
        assert_eq!(storage_arg("/a:b"), arg("/a:b", None));
        assert_eq!(storage_arg("/a:1/b"), arg("/a:1/b", None));
        for wrong in ["", ":10GiB", "/a:10 parsecs", "/a:0"] {
            assert!(storage_arg(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn speeds() {
        for (text, bytes) in [
            ("16 Mbit", 2_000_000),
            ("16Mbit/s", 2_000_000),
            ("1.5 Mbps", 187_500),
            ("256kbit", 32_000),
            ("1 Gbit", 125_000_000),
            ("2 MiB", 2 << 20),
            ("2 MB/s", 2_000_000),
            ("100000", 100_000),
        ] {
            assert_eq!(rate(text), Ok(Some(bytes)), "{text}");
        }
        assert_eq!((rate("none"), rate("None")), (Ok(None), Ok(None)));
        for (text, problem) in [
            ("fast", "no speed"),
            ("", "no speed"),
            ("16 Mb", "no speed"),
            ("16 Mb/s", "no speed"),
            ("-1 Mbit", "no speed"),
            ("0", "less than 256 kbit"),
            ("16", "less than 256 kbit"),
            ("255 kbit", "less than 256 kbit"),
        ] {
            let BadValue(said) = rate(text).expect_err(text);
            assert!(said.contains(problem) && said.contains("none"), "{text}: {said}");
        }
    }

    #[test]
    fn shares() {
        for (text, share) in [("25 %", 25), ("25%", 25), ("0", 0), ("100 %", 100)] {
            assert_eq!(percent(text), Ok(share));
        }
        for wrong in ["", "%", "101 %", "-1 %", "half", "2.5 %"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        for fine in ["a:1", "zoe.example.org:24007", "192.0.2.1:65535", "[2001:db8::1]:7"] {
            assert_eq!(address(fine), Ok(fine.to_owned()));
        }
        for wrong in ["", "a", "a:", ":1", "a:0", "a:65536", "2001:db8::1:7", "[x]:7", "a b:1", "a/b:1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn listening() {
        assert_eq!(listen("24007").map(|addr| addr.to_string()), Ok("0.0.0.0:24007".into()));
        assert_eq!(listen("[::]:24007").map(|addr| addr.to_string()), Ok("[::]:24007".into()));
        for wrong in ["", "65536", "localhost:1", "1.2.3.4"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }
}
