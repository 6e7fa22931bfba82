//! `upgrade log`: the audit trail, page by page until there are as many lines as were asked for.

mod follow;

use crate::cli::args::LogArgs;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::{self, or_dash, table};
use phasegate_wire as wire;

/// Lines of one request; what the host gives at most.
const PAGE: u32 = 10_000;

/// Columns of a line that is printed before those after it are known: date, upgrade, instance and kind.
const WIDTHS: [usize; 4] = [24, 12, 10, 10];

/// Prints the newest lines that are asked for, and says when there are more.
pub(super) fn run(client: &Client, args: &LogArgs) -> anyhow::Result<Exit> {
    if args.follow {
        return follow::run(client, args);
    }
    let log = read(args, |path| client.get(path))?;
    if args.output.json {
        output::json(&log)?;
    } else {
        let rows: Vec<Vec<String>> = log.entries.iter().map(row).collect();
        output::data(&table(&["AT", "UPGRADE", "INSTANCE", "WHAT", "WHY"], &rows))?;
    }
    if let Some(line) = more(&log) {
        output::talk(&line);
    }
    Ok(Exit::Done)
}

/// Asks for page after page, newest first.
fn read(args: &LogArgs, mut get: impl FnMut(&str) -> anyhow::Result<wire::Log>) -> anyhow::Result<wire::Log> {
    let path = path(args)?;
    let mut pages: Vec<wire::Log> = Vec::new();
    let mut left = args.limit;
    let mut before = String::new();
    loop {
        let page = get(&format!("{path}limit={}{before}", left.min(PAGE)))?;
        left = left.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        let next = page.next.filter(|_| left > 0 && !page.entries.is_empty());
        pages.push(page);
        match next {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let oldest = pages.pop();
    let Some(mut log) = oldest else { anyhow::bail!("the host has given no page of the trail") };
    log.entries.extend(pages.into_iter().rev().flat_map(|page| page.entries));
    Ok(log)
}

/// The route with all parameters but those of a page.
fn path(args: &LogArgs) -> anyhow::Result<String> {
    let mut query = Vec::new();
    if let Some(instance) = &args.instance {
        query.push(format!("instance={}&", super::instance_id(instance)?));
    }
    if let Some(upgrade) = &args.upgrade {
        query.push(format!("upgrade={}&", super::upgrade_id(upgrade)?));
    }
    for (key, value) in [("since", &args.since), ("until", &args.until)] {
        if let Some(value) = value {
            query.push(format!("{key}={}&", super::encoded(value)));
        }
    }
    Ok(format!("{}/log?{}", super::scale_set_path(&args.name)?, query.concat()))
}

fn row(entry: &wire::LogEntry) -> Vec<String> {
    let why = match entry.actor.as_str() {
        "" | "host" => entry.text.clone(),
        actor => format!("{} (by {actor})", entry.text),
    };
    vec![
        entry.at.clone(),
        or_dash(entry.upgrade.as_ref()),
        or_dash(entry.instance.as_ref()),
        entry.kind.to_string(),
        why,
    ]
}

/// What is not shown, if there is such a thing.
fn more(log: &wire::Log) -> Option<String> {
    let first = log.entries.first().filter(|_| log.truncated)?;
    Some(format!(
        "these are the newest {} lines, and there are older ones: --limit N shows more of them, --until {} goes on \
         before the first one shown\n",
        log.entries.len(),
        first.seq.saturating_sub(1)
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command, UpgradeVerb};

    fn args(words: &[&str]) -> LogArgs {
        let words = ["phasegate", "upgrade", "log", "orders"].iter().chain(words);
        let Command::Upgrade(args) = Cli::try_parse_from(words).unwrap().command else { panic!("upgrade") };
        let UpgradeVerb::Log(args) = args.verb else { panic!("log") };
        args
    }

    /// A host with so many lines.
    fn host(lines: u64, asked: &mut Vec<String>, path: &str) -> anyhow::Result<wire::Log> {
        asked.push(path.to_owned());
        let of =
            |key: &str| path.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)?.parse::<u64>().ok());
        let (limit, before) = (of("limit=").unwrap(), of("before=").unwrap_or(lines + 1));
        let first = before.saturating_sub(limit).max(1);
        let entries: Vec<_> = (first..before)
            .map(|seq| {
                serde_json::json!({"seq": seq, "at": "", "upgrade": null, "instance": null, "kind": "end", "text": ""})
            })
            .collect();
        let next = Some(first).filter(|first| *first > 1);
        let log = serde_json::json!({
            "scaleSet": "orders", "entries": entries, "truncated": next.is_some(), "next": next,
        });
        Ok(serde_json::from_value(log)?)
    }

    #[test]
    fn pages_are_asked_for_until_there_are_enough() {
        for (lines, limit, shown, truncated, pages) in [
            (25_000, "1000", 1_000, true, 1),
            (25_000, "24999", 24_999, true, 3),
            (25_000, "25000", 25_000, false, 3),
            (25_000, "1000000", 25_000, false, 3),
            (0, "1000", 0, false, 1),
        ] {
            let mut asked = Vec::new();
            let log = read(&args(&["--limit", limit]), |path| host(lines, &mut asked, path)).unwrap();
            let seqs: Vec<u64> = log.entries.iter().map(|entry| entry.seq).collect();
            assert_eq!(seqs, (lines + 1 - shown..=lines).collect::<Vec<_>>(), "{limit}");
            assert_eq!(
                (log.truncated, more(&log).is_some(), asked.len()),
                (truncated, truncated, pages),
                "{limit}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_stands_in_the_path() {
        let args =
            args(&["--instance", "7", "--upgrade", "orders-2", "--since", "2026-01-05T09:00:00+01:00"]);
        let mut asked = Vec::new();
        read(&args, |path| host(3, &mut asked, path)).unwrap();
        let wanted = "/v1/scale-sets/orders/log?instance=7&upgrade=orders-2&since=2026%2D01%2D05T09%3A00%3A00%2B01%3A00&";
        assert_eq!(asked, [format!("{wanted}limit=1000")]);
        assert!(super::path(&LogArgs { upgrade: Some("a b".to_owned()), ..args }).is_err());
    }
}
