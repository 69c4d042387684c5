//! Guessing, with a simulated clock.

use super::*;
use proptest::prelude::*;
use std::net::IpAddr;

const HOUR: Duration = Duration::from_secs(3600);

fn site(number: u32) -> Origin {
    Origin::Stranger(Site::of(IpAddr::from(number.to_be_bytes())))
}

fn guess(login: &str, from: u32) -> Guess<'_> {
    Guess { tenant: "acme", login, from: site(from) }
}

/// By the owner of `store-1`, on a device that the account knows.
fn by_owner() -> Guess<'static> {
    Guess { tenant: "acme", login: "store-1", from: Origin::Known(DeviceKey([1; 32])) }
}

/// The most that fall into any hour.
fn most_in_an_hour(times: &[Duration]) -> usize {
    let within = |&from| times.iter().filter(|&&at| at >= from && at < from + HOUR).count();
    times.iter().map(within).max().unwrap_or(0)
}

/// The times at which a guesser who tries without a pause gets through.
fn tried(guard: &mut Guard, hours: u32, guess: impl Fn(u32) -> Guess<'static>) -> Vec<Duration> {
    let (mut now, mut times, mut turn) = (Duration::ZERO, Vec::new(), 0);
    while now < HOUR * hours {
        match guard.admit(guess(turn), now) {
            Ok(ticket) => {
                guard.settle(ticket, Outcome::Wrong, now);
                times.push(now);
            }
            Err(TooOften { retry_after }) => now += retry_after,
        }
        turn += 1;
    }
    times
}

#[test]
fn ten_thousand_addresses_get_a_hundred_guesses_an_hour_at_an_account() {
    let mut guard = Guard::new([1; 32]);
    let times = tried(&mut guard, 12, |turn| guess("store-1", turn % 10_000));
    let most = most_in_an_hour(&times);
    println!("guesses in the worst hour: {most}; in 12 hours: {}", times.len());
    assert!((60..=100).contains(&most), "{most}");
}

#[test]
fn the_owner_on_a_known_device_gets_in_while_ten_thousand_addresses_guess() {
    let mut guard = Guard::new([1; 32]);
    let (mut refused, mut strangers_refused) = (0, 0);
    for second in 0..7200_u32 {
        let now = Duration::from_secs(second.into());
        for turn in 0..3 {
            match guard.admit(guess("store-1", (3 * second + turn) % 10_000), now) {
                Ok(ticket) => guard.settle(ticket, Outcome::Wrong, now),
                Err(_) => strangers_refused += 1,
            }
        }
        if second % 60 == 59 {
            match guard.admit(by_owner(), now) {
                Ok(ticket) => guard.settle(ticket, Outcome::Right, now),
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!(refused, 0);
    assert!(strangers_refused > 21_000, "{strangers_refused}");
    let times = tried(&mut Guard::new([1; 32]), 3, |_| by_owner());
    let most = most_in_an_hour(&times);
    assert!((60..=100).contains(&most), "who took a known device: {most}");
}

#[test]
fn one_address_and_one_tenant_have_limits_of_their_own() {
    const LOGINS: [&str; 400] = {
        let mut logins = [""; 400];
        let digits = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
        let mut at = 0;
        while at < 400 {
            let (_, from) = digits.split_at(at % 36);
            let (login, _) = from.split_at(1 + at / 36);
            logins[at] = login;
            at += 1;
        }
        logins
    };
    let mut guard = Guard::new([2; 32]);
    let login = |turn: u32| LOGINS[turn as usize % LOGINS.len()];
    let times = tried(&mut guard, 3, |turn| guess(login(turn), 7));
    let most = most_in_an_hour(&times);
    assert!((200..=300).contains(&most), "an address: {most}");
    let mut guard = Guard::new([3; 32]);
    let times = tried(&mut guard, 2, |turn| guess(login(turn), turn % 10_000));
    let most = most_in_an_hour(&times);
    assert!((8000..=10_000).contains(&most), "a tenant: {most}");
}

#[test]
fn five_mistakes_are_free_then_each_wait_is_twice_as_long() {
    let mut guard = Guard::new([4; 32]);
    let times = tried(&mut guard, 1, |turn| guess("a", turn));
    let waits: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(waits[..10], [0, 0, 0, 0, 1, 2, 4, 8, 16, 32]);
    assert!(waits[10..].iter().all(|&wait| wait <= 45), "{waits:?}");
}

#[test]
fn right_passwords_and_untried_ones_are_not_counted() {
    let mut guard = Guard::new([5; 32]);
    for turn in 0..10_000 {
        let now = Duration::from_millis(turn);
        let ticket = guard.admit(guess("a", 1), now).ok().unwrap();
        let outcome = if turn % 2 == 0 { Outcome::Right } else { Outcome::Untried };
        guard.settle(ticket, outcome, now);
    }
}

#[test]
fn guesses_at_once_count_before_they_are_settled() {
    let mut guard = Guard::new([6; 32]);
    let tickets: Vec<_> =
        (0..100).filter_map(|from| guard.admit(guess("a", from), HOUR).ok()).collect();
    assert_eq!(tickets.len(), 20);
    for ticket in tickets {
        guard.settle(ticket, Outcome::Untried, HOUR);
    }
    assert!(guard.admit(guess("a", 1), HOUR).is_ok());
}

#[test]
fn a_million_names_wash_nothing_away_and_take_no_memory() {
    let mut guard = Guard::new([7; 32]);
    let times = tried(&mut guard, 1, |turn| guess("owner", turn));
    let held = guard.sketches.iter().map(|sketch| sketch.cells.len()).sum::<usize>();
    for number in 0..200_000_u32 {
        let (tenant, login) = (format!("t{}", number % 100), number.to_string());
        let other = Guess { tenant: &tenant, login: &login, from: site(number) };
        if let Ok(ticket) = guard.admit(other, HOUR) {
            guard.settle(ticket, Outcome::Wrong, HOUR);
        }
    }
    assert!(times.len() > 60);
    assert!(guard.admit(guess("owner", 1), HOUR).is_err());
    assert_eq!(guard.sketches.iter().map(|sketch| sketch.cells.len()).sum::<usize>(), held);
    assert_eq!(held * size_of::<Cell>(), 15 << 19);
}

#[test]
fn names_are_folded_as_the_sign_in_folds_them() {
    let mut guard = Guard::new([8; 32]);
    let spelled = ["store-1", "STORE-1", "Store-1"];
    let times = tried(&mut guard, 1, |turn| guess(spelled[turn as usize % 3], turn));
    assert!(times.len() <= 100, "{}", times.len());
    let split = |tenant, login| guard.places(Guess { tenant, login, from: site(1) })[0];
    assert_ne!(split("ab", "c"), split("a", "bc"));
}

#[test]
fn an_hour_of_right_passwords_that_wait_for_their_hashes_costs_nobody_anything() {
    // A guess at the tenant drains in 450 ms; each of these waits longer than that.
    const AT_ONCE: u32 = 32;
    let mut guard = Guard::new([10; 32]);
    let mut open = std::collections::VecDeque::new();
    let (mut wrong, mut wrong_refused) = (0, 0);
    for turn in 0..(3600 * 20) {
        let now = Duration::from_millis(u64::from(turn) * 50);
        let login = format!("store-{}", turn % 1000);
        match guard.admit(guess(&login, turn % 1000), now) {
            Ok(ticket) => open.push_back(ticket),
            Err(refused) => panic!("{now:?}: a right one was refused: {refused:?}"),
        }
        if open.len() > AT_ONCE as usize {
            guard.settle(open.pop_front().unwrap(), Outcome::Right, now);
        }
        // Beside them somebody guesses at one account, and is not helped by any of it.
        match guard.admit(guess("owner", 1_000_000 + turn), now) {
            Ok(ticket) => {
                guard.settle(ticket, Outcome::Wrong, now);
                wrong += 1;
            }
            Err(_) => wrong_refused += 1,
        }
    }
    assert!((60..=100).contains(&wrong), "{wrong}");
    assert!(wrong_refused > 70_000, "{wrong_refused}");
}

/// One thing that happens at a time to one of a few accounts.
#[derive(Clone, Copy, Debug)]
struct Act {
    after_ms: u64,
    login: usize,
    from: u32,
    outcome: Outcome,
    /// Guesses that are left without an answer.
    open: usize,
}

fn act() -> impl Strategy<Value = Act> {
    let after = prop_oneof![Just(0), 0..60_000_u64, 0..900_000_u64];
    let outcome = prop_oneof![Just(Outcome::Right), Just(Outcome::Wrong), Just(Outcome::Untried)];
    let open = prop_oneof![Just(0), 0..15_usize];
    (after, 0..2_usize, 0..50_u32, outcome, open).prop_map(
        |(after_ms, login, from, outcome, open)| Act { after_ms, login, from, outcome, open },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However right, wrong and abandoned guesses follow and overlap each other, no hour holds more
    /// wrong ones than the limits say, whoever is refused gets in when told, and in the end the
    /// guard is as if there had been the wrong ones alone.
    #[test]
    fn no_order_of_events_beats_a_limit(acts in prop::collection::vec(act(), 1..600)) {
        let mut guard = Guard::new([9; 32]);
        let mut of_wrong_ones = Guard::new([9; 32]);
        let (mut now, mut open) = (Duration::ZERO, std::collections::VecDeque::new());
        let mut wrong = [Vec::new(), Vec::new()];
        let last = Act { after_ms: 0, login: 0, from: 0, outcome: Outcome::Untried, open: 0 };
        for act in acts.into_iter().chain([last]) {
            now += Duration::from_millis(act.after_ms);
            let asked = guess(["a", "b"][act.login], act.from);
            let ticket = match guard.admit(asked, now) {
                Ok(ticket) => ticket,
                Err(TooOften { retry_after }) => {
                    prop_assert!(retry_after > Duration::ZERO);
                    prop_assert!(retry_after <= Duration::from_secs(45), "{:?}", retry_after);
                    now += retry_after;
                    let ticket = guard.admit(asked, now).ok();
                    prop_assert!(ticket.is_some());
                    ticket.unwrap()
                }
            };
            open.push_back((ticket, act));
            while open.len() > act.open {
                let (ticket, asked) = open.pop_front().unwrap();
                if asked.outcome == Outcome::Wrong {
                    wrong[asked.login].push(now);
                    let places = ticket.places;
                    of_wrong_ones.settle(Ticket { places }, Outcome::Wrong, now);
                }
                guard.settle(ticket, asked.outcome, now);
            }
        }
        for times in &wrong {
            prop_assert!(most_in_an_hour(times) <= 100);
        }
        for (sketch, of_wrong_ones) in guard.sketches.iter().zip(&of_wrong_ones.sketches) {
            prop_assert!(sketch.cells == of_wrong_ones.cells);
        }
    }
}
