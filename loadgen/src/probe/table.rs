//! A round as a table for people. Pure.

use super::record::{Relay, Round, Way};
use core::fmt::Write as _;

/// The table.
pub fn text(round: &Round) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = write(&mut text, round);
    text
}

fn write(text: &mut String, round: &Round) -> core::fmt::Result {
    for it in &round.sign_ins {
        let took = ms(it.ms);
        writeln!(text, "{:<5} sign-in  {} at {}  {took}", verdict(it.ok), it.login, it.control)?;
    }
    if let Some(setup) = round.setup_ms {
        writeln!(text, "      set-up   {setup:.1} ms at most")?;
    }
    if !round.relays.is_empty() {
        writeln!(
            text,
            "      {:<6} {:<12} {:<24} {:>9}  {:<24} {:<24}",
            "relay", "site", "address", "way", "to called side", "to caller"
        )?;
    }
    for relay in &round.relays {
        row(text, relay)?;
    }
    for finding in &round.faults {
        writeln!(text, "FAULT {}: {}", finding.fault.name(), finding.what)?;
        writeln!(text, "      next: {}", finding.next)?;
    }
    let took = round.took_ms;
    match round.faults.len() {
        0 => writeln!(text, "nothing is wrong ({took} ms)"),
        faults => writeln!(text, "{faults} faults ({took} ms)"),
    }
}

fn row(text: &mut String, relay: &Relay) -> core::fmt::Result {
    let address = relay.address.as_deref().unwrap_or("not in this round");
    writeln!(
        text,
        "{:<5} {:<6} {:<12} {address:<24} {:>9}  {:<24} {:<24}",
        verdict(relay.ok),
        relay.relay,
        relay.site,
        ms(relay.round_trip_ms),
        way(relay.to_callee.as_ref()),
        way(relay.to_caller.as_ref()),
    )
}

fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAULT" }
}

fn ms(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn way(way: Option<&Way>) -> String {
    let of = |way: &Way| format!("{}/{} in {}", way.received, way.sent, ms(way.delay_ms));
    way.map_or_else(|| "-".to_owned(), of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::fault::{Fault, Finding};
    use crate::probe::record::SignIn;

    #[test]
    fn a_person_reads_what_is_wrong_and_what_to_do() {
        let way = |received| Way { sent: 150, received, loss_ratio: 0.0, delay_ms: Some(2.04) };
        let round = Round {
            took_ms: 8_200,
            sign_ins: vec![SignIn {
                control: "a.example:4433".into(),
                login: "probe-1".into(),
                ok: true,
                ms: Some(61.0),
            }],
            setup_ms: Some(12.3),
            relays: vec![Relay {
                relay: 1,
                site: "tokyo".into(),
                address: Some("203.0.113.10:40000".into()),
                ok: false,
                seen_unix_s: None,
                round_trip_ms: Some(8.0),
                to_callee: Some(way(0)),
                to_caller: Some(way(150)),
            }],
            faults: vec![Finding::new(Fault::OneWayAudio, "relay 1")],
            ..Round::default()
        };
        let text = text(&round);
        for part in [
            "ok    sign-in  probe-1 at a.example:4433  61.0 ms\n",
            "set-up   12.3 ms",
            "FAULT 1      tokyo        203.0.113.10:40000",
            "0/150 in 2.0 ms",
            "FAULT one_way_audio: relay 1\n      next: look at",
            "1 faults (8200 ms)\n",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(super::text(&Round::default()).contains("nothing is wrong"));
    }
}
