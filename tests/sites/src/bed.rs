//! The test bed: networks, the wide-area network between them, and the platform's processes in
//! them.

use crate::clock::now;
use crate::configs::{self, Sites};
use crate::network::Network;
use crate::nic::{self, Counted, Io};
use crate::operator::Operator;
use crate::part::{Part, Recipe};
use crate::wan::{Place, Wan, Weather};
use anyhow::{Context, Result, bail, ensure};
use core::time::Duration;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::{Pki, open_or_create_cell_secret};
use kakehashi_tests::children::pause;
use kakehashi_wire::id::RelayId;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// How long the parts get to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a member of the store may take to say how it is.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(100);

/// The store's program: Debian's etcd-server.
const ETCD: &str = "etcd";

/// What a test bed is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// How many sites, 1 to 9.
    pub(crate) sites: u8,
    /// How many sites, from the first, have a control node.
    pub(crate) nodes: u8,
    /// Relays of each site, 1 to 9.
    pub(crate) relays: u8,
    /// Delay of a packet from one network to another.
    pub(crate) delay: Duration,
    /// What losses are drawn from.
    pub(crate) seed: u64,
    /// How relays move packets.
    pub(crate) io: Io,
    /// Where everything is kept.
    pub(crate) folder: PathBuf,
}

/// A running test bed. Everything ends with it, and the networks go.
pub(crate) struct Bed {
    plan: Plan,
    // Before the networks: processes end first.
    parts: Vec<Part>,
    operators: Vec<Operator>,
    runtimes: Vec<Runtime>,
    wan: Wan,
    networks: Vec<Network>,
}

/// What the networks where terminals are are called.
const TERMINALS: [&str; 2] = ["stores", "concierges"];

impl Bed {
    /// Makes the networks and starts every part in them; says on the way what it does.
    ///
    /// # Errors
    /// If a network cannot be made or a part does not start.
    pub(crate) fn raise(plan: Plan) -> Result<Self> {
        fs::create_dir_all(&plan.folder)
            .with_context(|| format!("cannot make {}", plan.folder.display()))?;
        let names = (1..=plan.sites).map(|site| format!("kakehashi-site-{site}"));
        let names = names.chain(TERMINALS.map(|name| format!("kakehashi-{name}")));
        let networks = names.zip(1..).map(|(name, number)| Network::make(name, number));
        let networks = networks.collect::<Result<Vec<_>>>()?;
        let places = u8::try_from(networks.len()).context("there are few networks")?;
        let wan = Wan::between(&networks, Weather::fair(places, plan.delay, plan.seed))?;
        let (parts, operators, runtimes) = (Vec::new(), Vec::new(), Vec::new());
        let mut bed = Self { plan, parts, operators, runtimes, wan, networks };
        bed.lay_out()?;
        for part in &mut bed.parts {
            part.start()?;
        }
        bed.until_ready()?;
        Ok(bed)
    }

    /// The plan it was made by.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The weather between the networks.
    pub(crate) fn wan(&self) -> &Wan {
        &self.wan
    }

    /// Every part.
    pub(crate) fn parts(&mut self) -> &mut [Part] {
        &mut self.parts
    }

    /// A part by its name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub(crate) fn part(&mut self, name: &str) -> Result<&mut Part> {
        let found = self.parts.iter_mut().find(|part| part.name() == name);
        found.with_context(|| format!("there is no {name}: `parts` lists what there is"))
    }

    /// A network by its name, or by the number of its site.
    ///
    /// # Errors
    /// If there is none of that name.
    pub(crate) fn place(&self, name: &str) -> Result<Place> {
        let wanted = [format!("kakehashi-{name}"), format!("kakehashi-site-{name}")];
        let found = self.networks.iter().position(|it| wanted.iter().any(|name| it.name() == name));
        let found = found.with_context(|| {
            format!("no network `{name}`: say the number of a site, `stores` or `concierges`")
        })?;
        Ok(Place(u8::try_from(found).context("there are few networks")?))
    }

    /// Where terminals are: the stores' network, and the concierges'.
    pub(crate) fn terminals(&self) -> Result<[Network; 2]> {
        let [stores, concierges] = TERMINALS.map(|name| self.place(name));
        let network = |place: Place| self.networks.get(usize::from(place.0)).cloned();
        let networks = network(stores?).zip(network(concierges?));
        networks.map(<[Network; 2]>::from).context("there are both networks")
    }

    /// The network of site `site`, from 1.
    fn site(&self, site: u8) -> Result<&Network> {
        let network = site.checked_sub(1).and_then(|site| self.networks.get(usize::from(site)));
        network.with_context(|| format!("there is no site {site}"))
    }

    /// The folder with everything of site `site`.
    pub(crate) fn folder(&self, site: u8) -> PathBuf {
        self.plan.folder.join(format!("site-{site}"))
    }

    /// Where terminals find control: the node of each site.
    pub(crate) fn control(&self) -> Vec<String> {
        self.sites().doors()
    }

    fn sites(&self) -> Sites<'_> {
        let count = usize::from(self.plan.sites);
        Sites {
            networks: self.networks.get(..count).unwrap_or_default(),
            nodes: usize::from(self.plan.nodes),
            delay: self.plan.delay,
            io: self.plan.io,
        }
    }

    /// The certificate that terminals trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.plan.folder.join("ca.pem")
    }

    /// Writes configuration and certificates, and lists the parts in the order they start in.
    fn lay_out(&mut self) -> Result<()> {
        let sites = 1..=self.plan.sites;
        let pki = self.share_authority()?;
        for site in sites.clone() {
            self.site(site)?.add_address(configs::STORE_HOST)?;
            let (nth, folder) = (usize::from(site - 1), self.folder(site));
            let arguments = self.sites().store(nth, &folder);
            let place = (site, self.site(site)?.clone());
            self.add(&format!("store-{site}"), place, ETCD.into(), arguments);
        }
        for site in 1..=self.plan.nodes {
            self.site(site)?.add_address(configs::NODE_HOST)?;
            let runtime = self.site(site)?.runtime()?;
            let folder = self.folder(site).join("control");
            self.operators.push(Operator::of(runtime.handle().clone(), folder));
            self.runtimes.push(runtime);
            let text = self.sites().node(usize::from(site - 1), &self.folder(site));
            let place = (site, self.site(site)?.clone());
            self.add_ours(&format!("node-{site}"), place, "control", &text)?;
        }
        let relays = self.plan.relays;
        for (site, nth) in sites.flat_map(|site| (1..=relays).map(move |nth| (site, nth))) {
            let id = RelayId(u32::from(site) * 10 + u32::from(nth));
            pki.issue_relay(id, UnixMs::now())?;
            let (name, host) = (format!("relay-{}", id.0), configs::RELAY_HOST + nth);
            let network = match self.plan.io {
                Io::Uring => {
                    self.site(site)?.add_address(host)?;
                    self.site(site)?.clone()
                }
                Io::Xdp => nic::behind(self.site(site)?, &name, host)?,
            };
            let text = self.sites().relay(&pki, (id, site), network.address(host));
            self.add_ours(&name, (site, network), "relay", &text)?;
        }
        Ok(())
    }

    /// Makes the authority and the cell's secret, and gives them to every node.
    fn share_authority(&self) -> Result<Pki> {
        let first = self.folder(1).join("control").join("pki");
        fs::create_dir_all(&first).with_context(|| format!("cannot make {}", first.display()))?;
        let entropy = Entropy::system();
        let pki = Pki::open_or_create(&first, UnixMs::now(), entropy.clone())?;
        open_or_create_cell_secret(&first, &entropy)?;
        fs::copy(pki.root_path(), self.ca()).context("cannot copy the authority's certificate")?;
        for site in 2..=self.plan.nodes {
            let folder = self.folder(site).join("control").join("pki");
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            for file in ["ca.pem", "ca.key", "cell.key"] {
                fs::copy(first.join(file), folder.join(file))
                    .with_context(|| format!("cannot copy {file} to {}", folder.display()))?;
            }
        }
        Ok(pki)
    }

    fn add_ours(
        &mut self,
        name: &str,
        (site, network): (u8, Network),
        command: &str,
        config: &str,
    ) -> Result<()> {
        let file = self.folder(site).join(format!("{name}.toml"));
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let config = file.to_str().context("the folder's name is no text")?.to_owned();
        let arguments = vec![command.to_owned(), "--config".to_owned(), config];
        self.add(name, (site, network), kakehashi()?, arguments);
        Ok(())
    }

    fn add(&mut self, name: &str, place: (u8, Network), program: PathBuf, arguments: Vec<String>) {
        let recipe = Recipe { program, arguments, folder: self.folder(place.0) };
        self.parts.push(Part::new(name.to_owned(), place, recipe));
    }

    /// The operators of all nodes.
    pub(crate) fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The operator of the node of site `site`, from 1.
    ///
    /// # Errors
    /// If it has no node.
    pub(crate) fn operator(&self, site: u8) -> Result<&Operator> {
        let nth = site.checked_sub(1).map(usize::from);
        nth.and_then(|nth| self.operators.get(nth)).with_context(|| format!("site {site}: no node"))
    }

    /// How many relays each node finds connected and in use; nodes that do not answer find none.
    pub(crate) fn relays_in_use(&self) -> Vec<usize> {
        let in_use = |operator: &Operator| {
            let rows = operator.relays().unwrap_or_default();
            rows.iter().filter(|row| row.connected && !row.drained).count()
        };
        self.operators.iter().map(in_use).collect()
    }

    /// What each relay has counted in its life.
    ///
    /// # Errors
    /// If the node of the first site does not say.
    pub(crate) fn counted(&self) -> Result<Counted> {
        Ok(Counted::of(&self.operator(1)?.relays()?))
    }

    /// The site of the member that leads the store.
    ///
    /// # Errors
    /// If none says that it does.
    pub(crate) fn store_leader(&self) -> Result<u8> {
        let leads = |site: &u8| {
            let said = self.ask_store(*site, "/metrics").unwrap_or_default();
            said.lines().any(|line| line == "etcd_server_is_leader 1")
        };
        (1..=self.plan.sites).find(leads).context("no member leads the store")
    }

    /// Whether the member of the store at a site has a leader.
    pub(crate) fn store_is_well(&self, site: u8) -> bool {
        let health = self.ask_store(site, "/health").unwrap_or_default();
        health.contains("\"health\":\"true\"")
    }

    /// What the member of the store at a site says at `path`.
    fn ask_store(&self, site: u8, path: &str) -> Result<String> {
        let network = self.site(site)?;
        let (address, path) = (network.address(configs::STORE_HOST), path.to_owned());
        let said = network.inside(move || {
            let mut stream = TcpStream::connect((address, 2379))?;
            stream.set_read_timeout(Some(STORE_ANSWERS_WITHIN))?;
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
            let mut said = String::new();
            stream.read_to_string(&mut said).map(|_bytes| said)
        });
        said?.with_context(|| format!("the member of the store at site {site} does not answer"))
    }

    /// How many relays there are.
    pub(crate) fn relays(&self) -> usize {
        usize::from(self.plan.sites) * usize::from(self.plan.relays)
    }

    /// Waits until every node answers and every relay is connected.
    ///
    /// # Errors
    /// If that takes longer than a minute, or a part has ended.
    pub(crate) fn until_ready(&mut self) -> Result<()> {
        let deadline = now() + READY_WITHIN;
        let relays = self.relays();
        loop {
            let dead = self.parts.iter_mut().find_map(|part| (!part.runs()).then(|| part.log()));
            if let Some(log) = dead {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                bail!("a part does not run; {} ends:\n{}", log.display(), last.join("\n"));
            }
            let in_use = self.relays_in_use();
            if in_use.iter().all(|in_use| *in_use >= relays) {
                return Ok(());
            }
            ensure!(now() < deadline, "of {relays} relays the nodes find in use: {in_use:?}");
            pause(POLL);
        }
    }
}

/// The program beside this one.
fn kakehashi() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let folder =
        own.parent().filter(|folder| !folder.ends_with("deps")).or_else(|| own.ancestors().nth(2));
    let path = folder.unwrap_or_else(|| Path::new(".")).join("kakehashi");
    ensure!(path.exists(), "{} is not there: build the workspace's programs", path.display());
    Ok(path)
}
