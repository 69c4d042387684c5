//! The end of the demonstration: what each direction carried, and whether it is what was sent.

use super::check::{Frames, compare, ivf_frames, opus_frames, recorded_frames};
use super::recordings;
use super::side::Side;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

/// Prints the summary; success only if every frame of both directions came through.
pub(super) fn conclude(store: &Side, concierge: &Side, folder: &Path) -> ExitCode {
    let mut whole = true;
    for (from, to) in [(store, concierge), (concierge, store)] {
        println!("{} -> {}", from.role.login, to.role.login);
        for kind in ["audio", "camera"] {
            match direction(from, to, kind, folder) {
                Ok(line) => println!("  {line}"),
                Err(error) => {
                    println!("  {kind:<7} FAILED: {error:#}");
                    whole = false;
                }
            }
        }
    }
    for side in [store, concierge] {
        if !side.ended_well() {
            println!("{} did not end well: see its log", side.role.login);
            whole = false;
        }
        println!("recordings of {}: {}", side.role.login, recordings(folder, &side.role).display());
    }
    if whole {
        println!("\nEvery frame came through, both ways.");
        ExitCode::SUCCESS
    } else {
        println!("\nThe demonstration FAILED.");
        ExitCode::FAILURE
    }
}

/// Checks one stream of one direction and says how it went.
fn direction(from: &Side, to: &Side, kind: &str, folder: &Path) -> Result<String> {
    let sent = stream(from, "sent", kind)?;
    let got = stream(to, "received", kind)?;
    let number = |stream: &Value, field: &str| stream[field].as_u64().unwrap_or_default();
    let (packets_sent, packets_got) = (number(sent, "packets"), number(got, "packets"));
    let (lost, frames) = (number(got, "lost"), number(sent, "frames"));
    ensure!(lost == 0 && packets_sent == packets_got, "{lost} of {packets_sent} packets lost");
    let (sample, file) = match kind {
        "audio" => (opus_frames(from.role.speech.1)?, format!("{}-audio.opus", from.role.login)),
        _ => (ivf_frames(from.role.video.1)?, format!("{}-video.ivf", from.role.login)),
    };
    let recorded: Frames = recorded_frames(&recordings(folder, &to.role).join(file))?;
    compare(&sample, frames, &recorded)?;
    let media = from.summary.as_ref().context("there is no summary")?;
    let round_trip = media["round_trip_us"].as_f64().context("the round trip was not measured")?;
    Ok(format!(
        "{kind:<7} {packets_got:>6} packets  {frames:>5} frames, all equal  lost {lost}  \
         jitter {:.2} ms  round trip {:.2} ms",
        got["jitter_us"].as_f64().unwrap_or_default() / 1000.0,
        round_trip / 1000.0,
    ))
}

fn stream<'a>(side: &'a Side, way: &str, kind: &str) -> Result<&'a Value> {
    let Some(summary) = &side.summary else {
        bail!("{} ended without a summary: see its log", side.role.login)
    };
    let streams = summary[way].as_array().into_iter().flatten();
    let mut matching = streams.filter(|stream| stream["kind"] == kind);
    matching.next().with_context(|| format!("{} has no {kind} stream", side.role.login))
}
