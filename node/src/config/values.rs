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
