//! Hosts of a run's own: a network namespace for each, joined by a bridge whose filter is the one
//! place of all faults of the network. This process is on the bridge itself.

use std::fmt::Write;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::command::feed;
use super::command::run;

/// What the names of all that a run makes begin with.
const PREFIX: &str = "lh";

/// Several hosts that can reach each other. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
    /// The first two bytes of all addresses are 10 and this, the third is `third`.
    second: u8,
    third: u8,
    hosts: usize,
}

/// What the bridge does not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing from or to this host, clients included.
    Host(usize),
    /// Nothing between this host and other hosts; clients reach it.
    Peers(usize),
    /// Nothing between any two hosts; clients reach all.
    Everybody,
    /// Nothing from the first to the second; the other way is free.
    OneWay(usize, usize),
    /// So many of a hundred packets, anywhere.
    Loss(u8),
}

impl Network {
    /// Makes a bridge and `hosts` hosts. What runs that were killed left behind is removed first.
    ///
    /// # Errors
    /// The system refuses: this needs root.
    pub(crate) fn new(hosts: usize) -> Result<Self> {
        sweep()?;
        let process = std::process::id();
        let network = Self {
            name: format!("{PREFIX}{process}"),
            second: 64 + u8::try_from(process / 256 % 64)?,
            third: u8::try_from(process % 256)?,
            hosts,
        };
        let bridge = network.bridge();
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
        let own = format!("{}/24", network.address_of(254));
        run("ip", &["addr", "add", &own, "dev", &bridge])?;
        run("ip", &["link", "set", &bridge, "up"])?;
        for host in 0..hosts {
            network.add(host)?;
        }
        Ok(network)
    }

    fn add(&self, host: usize) -> Result<()> {
        let (space, port) = (self.namespace(host), self.port(host));
        run("ip", &["netns", "add", &space])?;
        run(
            "ip",
            &[
                "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space,
            ],
        )?;
        run(
            "ip",
            &["link", "set", &port, "master", &self.bridge(), "up"],
        )?;
        let address = format!("{}/24", self.address(host));
        run(
            "ip",
            &["-n", &space, "addr", "add", &address, "dev", "eth0"],
        )?;
        run("ip", &["-n", &space, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", &space, "link", "set", "lo", "up"])?;
        Ok(())
    }

    fn bridge(&self) -> String {
        format!("{}b", self.name)
    }

    fn port(&self, host: usize) -> String {
        format!("{}v{host}", self.name)
    }

    fn address_of(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second, self.third, last)
    }

    /// The namespace of a host.
    #[must_use]
    pub(crate) fn namespace(&self, host: usize) -> String {
        format!("{}n{host}", self.name)
    }

    /// The address of a host.
    #[must_use]
    pub(crate) fn address(&self, host: usize) -> Ipv4Addr {
        self.address_of(u8::try_from(host + 1).unwrap_or(253))
    }

    /// Cuts what `cut` says, and nothing else any more.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn cut(&self, cut: &Cut) -> Result<()> {
        self.heal()?;
        let mut text = format!("table bridge {} {{\n", self.name);
        for hook in ["forward", "input", "output"] {
            let rules = self.rules(cut, hook);
            write!(
                text,
                "chain at_{hook} {{\ntype filter hook {hook} priority 0; policy accept;\n{rules}}}\n"
            )?;
        }
        text.push_str("}\n");
        feed("nft", &["-f", "-"], &text)?;
        Ok(())
    }

    /// The filter's rules for packets between hosts (forward), and between a host and this process
    /// (input, output).
    fn rules(&self, cut: &Cut, hook: &str) -> String {
        let between_hosts = hook == "forward";
        let from = |host: usize| format!("iifname \"{}\" drop\n", self.port(host));
        let to = |host: usize| format!("oifname \"{}\" drop\n", self.port(host));
        match *cut {
            Cut::Host(host) => from(host) + &to(host),
            Cut::Peers(host) if between_hosts => from(host) + &to(host),
            Cut::Everybody if between_hosts => (0..self.hosts).map(from).collect(),
            Cut::OneWay(one, other) if between_hosts => {
                let (one, other) = (self.port(one), self.port(other));
                format!("iifname \"{one}\" oifname \"{other}\" drop\n")
            }
            Cut::Loss(percent) => (0..self.hosts)
                .filter(|_| hook != "output")
                .map(|host| {
                    let port = self.port(host);
                    format!("iifname \"{port}\" numgen random mod 100 < {percent} drop\n")
                })
                .collect(),
            Cut::Peers(_) | Cut::Everybody | Cut::OneWay(..) => String::new(),
        }
    }

    /// Lets everything through.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn heal(&self) -> Result<()> {
        let table = &self.name;
        let text = format!("table bridge {table} {{}}\ndelete table bridge {table}\n");
        feed("nft", &["-f", "-"], &text)?;
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.heal();
        let _ = remove(&self.name);
    }
}

/// Removes the networks of processes that are no more.
fn sweep() -> Result<()> {
    let bridges = run("ip", &["-o", "link", "show", "type", "bridge"])?;
    for line in bridges.lines() {
        let name = line.split(':').nth(1).unwrap_or_default().trim();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_suffix('b'))
            .filter(|process| process.parse::<u32>().is_ok());
        let Some(process) = process else { continue };
        if !std::path::Path::new("/proc").join(process).exists() {
            remove(&format!("{PREFIX}{process}"))?;
        }
    }
    Ok(())
}

/// Ends what still runs on the hosts of a network, and removes them and the bridge.
fn remove(name: &str) -> Result<()> {
    let bridge = format!("{name}b");
    let spaces = run("ip", &["netns", "list"])?;
    let own = format!("{name}n");
    for space in spaces.lines().filter_map(|line| line.split(' ').next()) {
        if !space.starts_with(&own) {
            continue;
        }
        for process in run("ip", &["netns", "pids", space])?.lines() {
            let _ = run("kill", &["-KILL", process]);
        }
        run("ip", &["netns", "del", space])?;
    }
    run("ip", &["link", "del", &bridge])?;
    Ok(())
}
