//! `fsdfs bandwidth`: what this node may use of its line.

use std::time::Duration;

use clap::{ArgGroup, Args};
use fsdfs_node::config;
use fsdfs_proto::control::{BandwidthAnswer, BandwidthRequest, LimitSource, SpeedLimit};

use crate::app::AppContext;
use crate::outcome::{CliResult, ExitStatus};
use crate::text::table::{ColumnAlign, TextTable};
use crate::text::{human, parse};

/// Show what this node may use of its line; change it while it runs.
///
/// A change counts at once, in place of config.toml and its hours. It is not written down: it
/// ends with the node, or after the time that --for names. What is to stay belongs into the
/// section [bandwidth] of config.toml, which a restart applies:
///
///   [bandwidth]
///   upload   = "16 Mbit"      # all that this node sends; default: none
///   download = "80 Mbit"
///   repair   = "25 %"         # of the upload, at most; default: 50 %
///   hours    = ["Mon-Fri 08:00-18:00 upload=4Mbit repair=0", "23:00-07:00 upload=none"]
///   metered  = false          # true: nothing is sent that no user waits for
///
/// Hours are local time; the first rule that fits counts for what it names. Repair takes less
/// than its share while packets queue on the line, and pauses on a line below 8 Mbit while a user
/// moves bytes.
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment, group = ArgGroup::new("limit").multiple(true))]
pub struct BandwidthCommand {
    /// Send at most so much, all in all, such as 5Mbit or 2MiB/s; `none` = no limit.
    #[arg(long, value_name = "SPEED", group = "limit", value_parser = speed)]
    upload: Option<u64>,
    /// Receive at most so much; `none` = no limit.
    #[arg(long, value_name = "SPEED", group = "limit", value_parser = speed)]
    download: Option<u64>,
    /// How much of the upload repair may take at most, such as 10%; 0 = repair sends nothing.
    #[arg(long, value_name = "PERCENT", group = "limit", value_parser = percent)]
    repair: Option<u8>,
    /// Whether bytes cost money here: then nothing is sent that no user waits for.
    #[arg(long, value_name = "true|false", group = "limit")]
    metered: Option<bool>,
    /// For so long only, such as 2h.
    #[arg(long = "for", value_name = "TIME", requires = "limit", value_parser = parse::span)]
    lasts: Option<Duration>,
    /// Forget all changes: config.toml counts again.
    #[arg(long, conflicts_with_all = ["limit", "lasts"])]
    reset: bool,
}

fn speed(text: &str) -> Result<u64, String> {
    config::rate(text).map(Option::unwrap_or_default).map_err(|bad| bad.to_string())
}

fn percent(text: &str) -> Result<u8, String> {
    config::percent(text).map_err(|bad| bad.to_string())
}

impl BandwidthCommand {
    /// Runs the verb.
    pub async fn run(self, app: &AppContext) -> CliResult {
        let api = app.api()?;
        let request = BandwidthRequest {
            reset: self.reset,
            upload_bytes_per_s: self.upload,
            download_bytes_per_s: self.download,
            repair_percent: self.repair,
            metered: self.metered,
            for_s: self.lasts.map(|lasts| lasts.as_secs().max(1)),
        };
        let answer = match request == BandwidthRequest::default() {
            true => api.client().bandwidth().await,
            false => api.client().change_bandwidth(&request).await,
        };
        let answer = answer.map_err(|error| api.stop(&error))?;
        app.output.result(&answer, shown(&answer)).map(|()| ExitStatus::Fine)
    }
}

fn shown(answer: &BandwidthAnswer) -> String {
    let mut table = TextTable::plain(&[ColumnAlign::Left, ColumnAlign::Left]);
    let mut row = |key: &str, value: String| table.row([key.to_owned(), value]);
    row("upload", limit(&answer.upload));
    row("download", limit(&answer.download));
    let (repair, metered) = (&answer.repair, &answer.metered);
    row("repair", format!("at most {} % of the upload{}", repair.percent, origin(repair.source, repair.left_s)));
    let line = if metered.metered { "metered: nothing is sent that no user waits for" } else { "not metered" };
    row("line", format!("{line}{}", origin(metered.source, metered.left_s)));
    let queueing = answer.queueing_ms.map(|ms| format!("; packets queue for {ms} ms"));
    let pace = match answer.repair_bytes_per_s {
        0 => "repair sends nothing".to_owned(),
        bytes => format!("repair may send {}", human::speed(bytes)),
    };
    row("now", format!("{pace}{}", queueing.unwrap_or_default()));
    row(
        "moved",
        format!(
            "{} for users, {} to complete copies elsewhere, {} to complete copies here",
            human::size(answer.user_bytes),
            human::size(answer.repair_bytes_out),
            human::size(answer.repair_bytes_in)
        ),
    );
    table.to_string()
}

fn limit(limit: &SpeedLimit) -> String {
    let speed = if limit.bytes_per_s == 0 { "no limit".to_owned() } else { human::speed(limit.bytes_per_s) };
    speed + &origin(limit.source, limit.left_s)
}

fn origin(source: LimitSource, left_s: Option<u64>) -> String {
    match (source, left_s) {
        (LimitSource::Config | LimitSource::Other, _) => String::new(),
        (LimitSource::Hours, _) => " (by the hour)".to_owned(),
        (LimitSource::Request, None) => " (changed, until the node stops)".to_owned(),
        (LimitSource::Request, Some(left)) => format!(" (changed, for {})", human::span(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fsdfs_proto::control::{MeteredLine, RepairShare};

    #[test]
    fn what_counts_is_shown_with_where_it_comes_from() {
        let answer = BandwidthAnswer {
            upload: SpeedLimit { bytes_per_s: 625_000, source: LimitSource::Request, left_s: Some(7_200) },
            download: SpeedLimit { bytes_per_s: 0, source: LimitSource::Config, left_s: None },
            repair: RepairShare { percent: 25, source: LimitSource::Hours, left_s: None },
            metered: MeteredLine { metered: false, source: LimitSource::Request, left_s: None },
            repair_bytes_per_s: 156_250,
            queueing_ms: Some(12),
            user_bytes: 5 << 20,
            repair_bytes_out: 0,
            repair_bytes_in: 1 << 20,
        };
        assert_eq!(
            shown(&answer),
            "upload    5 Mbit/s (changed, for 2h)\n\
             download  no limit\n\
             repair    at most 25 % of the upload (by the hour)\n\
             line      not metered (changed, until the node stops)\n\
             now       repair may send 1.25 Mbit/s; packets queue for 12 ms\n\
             moved     5.0 MiB for users, 0 B to complete copies elsewhere, 1.0 MiB to complete copies here\n"
        );
        let paused = BandwidthAnswer { repair_bytes_per_s: 0, queueing_ms: None, ..answer };
        assert!(shown(&paused).contains("now       repair sends nothing\n"));
    }
}
