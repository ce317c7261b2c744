//! `fsdfs service`: a systemd unit for this node.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use fsdfs_node::files;

use crate::answers::ServiceUnit;
use crate::app::AppContext;
use crate::outcome::{CliError, CliResult, ExitStatus, problem};
use crate::service_unit::{SYSTEM_UNITS, unit_name, user_units};
use crate::text::escape;

/// Print or install a systemd unit that runs this node.
///
/// Without options it prints a unit for your own user; --install writes it where systemd looks for it. A user's services
/// end with the last login unless lingering is on (the text after --install says how); --system makes a unit that
/// starts with the machine. A changed configuration is taken in by systemctl restart; there is nothing to reload.
#[derive(Args, Clone, Debug)]
pub struct ServiceCommand {
    /// For the whole machine instead of your login; it runs as the user that owns the home folder.
    #[arg(long)]
    system: bool,
    /// Write the unit instead of printing it.
    #[arg(long)]
    install: bool,
    /// Replace an installed unit that differs.
    #[arg(long, requires = "install")]
    force: bool,
}

impl ServiceCommand {
    /// Runs the verb.
    pub fn run(&self, app: &AppContext) -> CliResult {
        let home = app.home.dir();
        let program = std::env::current_exe().map_err(|error| cannot("find", Path::new("this program"), &error))?;
        let user = if self.system { Some(owner(app, home)?) } else { None };
        let unit = unit(&program, home, user);
        if self.install {
            return self.write(app, home, &unit);
        }
        app.output.result(&ServiceUnit { path: None, unit: unit.clone() }, &unit)?;
        Ok(ExitStatus::Fine)
    }

    fn write(&self, app: &AppContext, home: &Path, unit: &str) -> CliResult {
        let name = unit_name(home);
        let path = self.folder()?.join(&name);
        match std::fs::read_to_string(&path) {
            Ok(standing) if standing != unit && !self.force => {
                let shown = escape::name(path.as_os_str().as_bytes());
                return problem(format!("{shown} exists and differs"), "look at it; --force replaces it");
            }
            _ => {}
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(|error| cannot("write", &path, &error))?;
        files::publish(&path, unit.as_bytes(), 0o644).map_err(|error| cannot("write", &path, &error.source))?;
        let value = ServiceUnit { path: Some(path.to_string_lossy().into_owned()), unit: unit.to_owned() };
        app.output.done(&value, self.installed(&path, &name)).map(|()| ExitStatus::Fine)
    }

    fn folder(&self) -> CliResult<PathBuf> {
        if self.system {
            return Ok(PathBuf::from(SYSTEM_UNITS));
        }
        match user_units() {
            Some(folder) => Ok(folder),
            None => problem("there is no home folder to install a user's unit in", "set HOME, or use --system"),
        }
    }

    fn installed(&self, path: &Path, name: &str) -> String {
        let shown = escape::name(path.as_os_str().as_bytes());
        if self.system {
            format!(
                "wrote {shown}\n  start it now and with the machine: systemctl daemon-reload && systemctl enable --now {name}"
            )
        } else {
            format!(
                "wrote {shown}\n  start it now and at login: systemctl --user daemon-reload && systemctl --user enable --now {name}\n  \
                 keep it running without a login: loginctl enable-linger"
            )
        }
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    let hint = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "run it as root, or without --system",
        _ => "",
    };
    CliError::new(format!("cannot {what} {}: {error}", escape::name(path.as_os_str().as_bytes())), hint)
}

/// The user that the data belongs to, by number: systemd takes that, and it needs no look-up. Of a home that does not exist yet
/// nobody could say; the owner of the folder above it is often root.
fn owner(app: &AppContext, home: &Path) -> CliResult<u32> {
    match std::fs::metadata(home) {
        Ok(found) => Ok(found.uid()),
        Err(_) => problem(
            format!(
                "there is no {} yet, which would say as which user the node runs",
                escape::name(home.as_os_str().as_bytes())
            ),
            format!("create it first, as that user: {}", app.program.command("init")),
        ),
    }
}

fn unit(program: &Path, home: &Path, user: Option<u32>) -> String {
    let user_line = user.map(|uid| format!("User={uid}\n")).unwrap_or_default();
    let target = if user.is_some() { "multi-user.target" } else { "default.target" };
    let network = if user.is_some() { "Wants=network-online.target\nAfter=network-online.target\n" } else { "" };
    format!(
        "[Unit]\n\
         Description=fsdfs: a private store pooled with friends\n\
         {network}\n\
         [Service]\n\
         {user_line}\
         Type=exec\n\
         ExecStart={} --home {} up\n\
         Restart=on-failure\n\
         RestartSec=5\n\
         TimeoutStopSec=60\n\
         LimitNOFILE=65536\n\
         NoNewPrivileges=yes\n\
         UMask=0077\n\
         \n\
         [Install]\n\
         WantedBy={target}\n",
        quoted(program.as_os_str()),
        quoted(home.as_os_str()),
    )
}

/// A word of a command line as systemd reads it: quoted, with its specifiers and variables switched off.
fn quoted(word: &OsStr) -> String {
    let escaped = |byte: &u8| match byte {
        b'"' => "\\\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'%' => "%%".to_owned(),
        b'$' => "$$".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    format!("\"{}\"", word.as_bytes().iter().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_unit() {
        let unit = unit(Path::new("/usr/bin/fsdfs"), Path::new("/home/anna/100% \"mine\"/$x"), None);
        assert!(
            unit.contains("ExecStart=\"/usr/bin/fsdfs\" --home \"/home/anna/100%% \\\"mine\\\"/$$x\" up\n"),
            "{unit}"
        );
        let sections: Vec<&str> = unit.lines().filter(|line| line.starts_with('[')).collect();
        assert_eq!(sections, ["[Unit]", "[Service]", "[Install]"], "what systemd knows");
        assert!(unit.contains("WantedBy=default.target") && !unit.contains("User="), "{unit}");
        assert!(!unit.contains("ExecReload"), "a reload must not end the node");
    }

    #[test]
    fn a_systems_unit_names_the_user() {
        let unit = unit(Path::new("/usr/bin/fsdfs"), Path::new("/srv/fsdfs"), Some(1000));
        assert!(unit.contains("User=1000\n") && unit.contains("WantedBy=multi-user.target"), "{unit}");
    }

    #[test]
    fn units_of_several_homes_have_several_names() {
        assert_eq!(unit_name(Path::new("/home/anna/.local/share/fsdfs")), "fsdfs.service");
        assert_eq!(unit_name(Path::new("/srv/second node")), "fsdfs-secondnode.service");
    }
}
