//! A terminal that knows several nodes: which it takes, and when it goes to another.

use super::*;
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// A way to a node that can be cut: from then on nothing passes, and nobody is told.
struct Way {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Way {
    async fn to(node: SocketAddr) -> Self {
        let (near, far) = (local_socket().await, local_socket().await);
        let address = near.local_addr().unwrap();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            let mut terminal = None;
            let (mut from_near, mut from_far) = ([0; 2_048], [0; 2_048]);
            loop {
                tokio::select! {
                    Ok((bytes, from)) = near.recv_from(&mut from_near) => {
                        terminal = Some(from);
                        if *is_open.borrow() {
                            far.send_to(&from_near[..bytes], node).await.unwrap();
                        }
                    }
                    Ok((bytes, _)) = far.recv_from(&mut from_far) => {
                        let is_open = *is_open.borrow();
                        let Some(terminal) = terminal.filter(|_| is_open) else { continue };
                        near.send_to(&from_far[..bytes], terminal).await.unwrap();
                    }
                }
            }
        });
        Self { address, open }
    }

    fn cut(&self) {
        self.open.send_replace(false);
    }
}

async fn local_socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// A terminal of these nodes, the first preferred.
fn knowing(nodes: &[SocketAddr], ca_pem: &str) -> Settings {
    let mut settings = settings(1, ca_pem.to_owned());
    settings.control = nodes.iter().map(SocketAddr::to_string).collect();
    settings.timing.busy_ping = Duration::from_millis(50);
    settings.timing.busy_silence = Duration::from_millis(300);
    settings
}

fn start(settings: Settings) -> (Terminal, Events) {
    Terminal::start(settings).unwrap()
}

/// The next event that `pick` likes.
async fn until<T>(events: &mut Events, pick: impl Fn(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the session goes on");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("it happens")
}

async fn until_signed_in(events: &mut Events) {
    until(events, |event| matches!(event, Event::SignedIn(_)).then_some(())).await;
}

async fn until_resumed(events: &mut Events) {
    until(events, |event| matches!(event, Event::Resumed).then_some(())).await;
}

fn said(control: &Control, what: &str) -> usize {
    control.heard().iter().filter(|line| line.starts_with(what)).count()
}

#[tokio::test]
async fn the_first_node_that_is_there_is_taken_and_no_other_hears_a_sign_in() {
    let ours = authority();
    let foreign = Control::start(Manner::Kind, ALPN_TERMINAL);
    let other_version = Control::start_of(&ours, Manner::Kind, b"kakehashi/9");
    let good = Control::start_of(&ours, Manner::Kind, ALPN_TERMINAL);
    let mute = local_socket().await;
    let dead = {
        let socket = local_socket().await;
        socket.local_addr().unwrap()
    };
    let nodes = [
        mute.local_addr().unwrap(),
        foreign.address(),
        dead,
        other_version.address(),
        good.address(),
    ];
    let (terminal, mut events) = start(knowing(&nodes, &ours.1));
    until_signed_in(&mut events).await;
    assert_eq!(said(&good, "SignIn"), 1);
    assert!(foreign.heard().is_empty() && other_version.heard().is_empty());
    drop(terminal);
}

#[tokio::test]
async fn of_two_good_nodes_only_one_is_signed_in_to() {
    let ours = authority();
    let nodes = [(); 3].map(|()| Control::start_of(&ours, Manner::Kind, ALPN_TERMINAL));
    let addresses = nodes.each_ref().map(Control::address);
    for _ in 0..4 {
        let (terminal, mut events) = start(knowing(&addresses, &ours.1));
        until_signed_in(&mut events).await;
        terminal.sign_out().await.unwrap();
    }
    assert_eq!(nodes.iter().map(|node| said(node, "SignIn")).sum::<usize>(), 4);
}

#[tokio::test]
async fn in_a_call_a_node_that_falls_silent_is_left_for_another() {
    let ours = authority();
    let [a, b] = [(); 2].map(|()| Control::start_of(&ours, Manner::Resumes, ALPN_TERMINAL));
    let way = Way::to(a.address()).await;
    let mut knowing = knowing(&[way.address, b.address()], &ours.1);
    knowing.timing = Timing::default();
    let (terminal, mut events) = start(knowing);
    until_signed_in(&mut events).await;
    // Who only waits costs nothing.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(said(&a, "Ping"), 0);
    terminal.invite("concierge-1", vec![AUDIO]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert!(said(&a, "Ping") >= 3, "{:?}", a.heard());
    assert!(b.heard().is_empty(), "a node that answers is not left");
    way.cut();
    let cut = tokio::time::Instant::now();
    let why = until(&mut events, |event| match event {
        Event::Reconnecting { why, .. } => Some(why),
        _ => None,
    });
    assert!(matches!(why.await, TerminalError::Lost { why } if why.contains("nothing was heard")));
    until_resumed(&mut events).await;
    println!("resumed at the other node {:?} after the cut", cut.elapsed());
    assert_eq!((said(&a, "Resume"), said(&b, "Resume"), said(&b, "SignIn")), (0, 1, 0));
}

#[tokio::test]
async fn a_node_that_stops_or_dies_is_left_for_another_and_comes_last_from_then_on() {
    let ours = authority();
    let [a, b] = [(); 2].map(|()| Control::start_of(&ours, Manner::Resumes, ALPN_TERMINAL));
    let (terminal, mut events) = start(knowing(&[a.address(), b.address()], &ours.1));
    until_signed_in(&mut events).await;
    // Cut by the node: the terminal does not go back there first.
    for (lost, taken) in [(&a, &b), (&b, &a)] {
        let before = said(taken, "Resume");
        let cut = terminal.invite("cut", vec![AUDIO]).await;
        assert!(matches!(cut, Err(TerminalError::Lost { .. })), "{cut:?}");
        assert_eq!(said(lost, "Invite"), 1);
        until_resumed(&mut events).await;
        assert_eq!(said(taken, "Resume"), before + 1);
    }
    // And one that is gone for good.
    a.endpoint.close(VarInt::from_u32(1), b"killed");
    until_resumed(&mut events).await;
    assert_eq!(said(&b, "Resume"), 2);
}

#[tokio::test]
async fn with_one_node_nothing_is_asked_of_it_and_silence_is_waited_for() {
    let ours = authority();
    let only = Control::start_of(&ours, Manner::Resumes, ALPN_TERMINAL);
    let way = Way::to(only.address()).await;
    let (terminal, mut events) = start(knowing(&[way.address], &ours.1));
    until_signed_in(&mut events).await;
    terminal.invite("concierge-1", vec![AUDIO]).await.unwrap();
    until(&mut events, |event| matches!(event, Event::Ringing { .. }).then_some(())).await;
    way.cut();
    let quiet = tokio::time::timeout(Duration::from_millis(900), events.next()).await;
    assert!(quiet.is_err(), "three times what would be too long with another node");
    assert_eq!(said(&only, "Ping"), 0);
}

#[tokio::test]
async fn settings_without_a_node_or_with_too_many_are_refused() {
    let (_, ca_pem) = authority();
    for count in [0, 17] {
        let nodes = vec![SocketAddr::from(([127, 0, 0, 1], 9)); count];
        let refused = Terminal::start(knowing(&nodes, &ca_pem)).err().unwrap();
        assert!(refused.to_string().contains("1 to 16 nodes"), "{refused}");
    }
}
