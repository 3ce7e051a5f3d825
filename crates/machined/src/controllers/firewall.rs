//! Which traffic the node takes: the chains that the configuration asks for, and the effect that makes them true.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use config::view::{self, Firewall, FirewallRule};
use node_resources::config::MachineConfig;
use node_resources::network::{
    ConntrackState, MatchOperator, NfTablesAddressMatch, NfTablesChain, NfTablesChainHook, NfTablesChainPriority,
    NfTablesConntrackStateMatch, NfTablesIfNameMatch, NfTablesLayer4Match, NfTablesLimitMatch, NfTablesPortMatch,
    NfTablesRule, NfTablesVerdict, NodeAddress, PortRange, Protocol,
};
use resource::types::Prefix;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use tokio::io::AsyncWriteExt as _;

use super::addresses::cluster_subnets;
use crate::machine_config::parsed;
use crate::nft;

/// ICMP messages taken each second: enough for people and monitoring, too few to keep a machine busy with.
const ICMP_RATE: u64 = 50;
/// How long setting the rules may take.
const LIMIT: Duration = Duration::from_secs(10);
const NFT: &str = "/usr/sbin/nft";

/// Two chains with the same rules. `ingress` is what reaches processes of the node. `preroute` comes before Kubernetes
/// sends node ports and other addresses of services on to pods, and is for packets to the node's own addresses.
pub fn chains(config: One<MachineConfig>, addresses: All<NodeAddress>) -> anyhow::Result<Outputs<NfTablesChain>> {
    let cluster = cluster_subnets(&config)?;
    let Some(firewall) = view::firewall(&*parsed(&config)?) else {
        return Ok(Outputs::none());
    };
    let policy = if firewall.block {
        NfTablesVerdict::Drop
    } else {
        NfTablesVerdict::Accept
    };
    let chain = |hook, priority, rules| NfTablesChain {
        ty: "filter".to_owned(),
        hook,
        priority,
        policy,
        rules,
    };
    let rules = rules(&firewall, &cluster)?;
    let mut outputs = Outputs::none();
    let own: Vec<IpAddr> = addresses
        .get("current-no-k8s")
        .map(|set| set.addresses.iter().map(Prefix::addr).collect())
        .unwrap_or_default();
    if !own.is_empty() {
        let mut all = vec![to_others(own)];
        all.extend(rules.iter().cloned());
        outputs.insert(
            "preroute",
            chain(NfTablesChainHook::Prerouting, NfTablesChainPriority::Mangle, all),
        );
    }
    outputs.insert(
        "ingress",
        chain(NfTablesChainHook::Input, NfTablesChainPriority::Filter, rules),
    );
    Ok(outputs)
}

fn accept(rule: NfTablesRule) -> NfTablesRule {
    NfTablesRule {
        verdict: Some(NfTablesVerdict::Accept),
        anonymous_counter: true,
        ..rule
    }
}

fn to_others(own: Vec<IpAddr>) -> NfTablesRule {
    accept(NfTablesRule {
        match_destination_address: Some(NfTablesAddressMatch {
            include_subnets: own.into_iter().map(Prefix::host).collect(),
            invert: true,
            ..NfTablesAddressMatch::default()
        }),
        ..NfTablesRule::default()
    })
}

fn rules(firewall: &Firewall, cluster: &[Prefix]) -> anyhow::Result<Vec<NfTablesRule>> {
    let states = |states: &[ConntrackState], verdict| NfTablesRule {
        match_conntrack_state: Some(NfTablesConntrackStateMatch {
            states: states.to_vec(),
        }),
        anonymous_counter: true,
        verdict: Some(verdict),
        ..NfTablesRule::default()
    };
    let mut rules = vec![
        states(
            &[ConntrackState::Established, ConntrackState::Related],
            NfTablesVerdict::Accept,
        ),
        states(&[ConntrackState::Invalid], NfTablesVerdict::Drop),
        accept(NfTablesRule {
            match_iif_name: Some(NfTablesIfNameMatch {
                interface_name: vec!["lo".to_owned()],
                operator: MatchOperator::Equal,
            }),
            ..NfTablesRule::default()
        }),
        // What the cluster's pods and services say to each other is for Kubernetes' network policies.
        accept(NfTablesRule {
            match_source_address: Some(NfTablesAddressMatch {
                include_subnets: cluster.to_vec(),
                ..NfTablesAddressMatch::default()
            }),
            ..NfTablesRule::default()
        }),
    ];
    for rule in &firewall.rules {
        rules.push(configured(rule, firewall.block)?);
    }
    if firewall.block {
        rules.extend([Protocol::Icmp, Protocol::IcmpV6].map(|protocol| {
            accept(NfTablesRule {
                match_layer4: Some(NfTablesLayer4Match {
                    protocol,
                    ..NfTablesLayer4Match::default()
                }),
                match_limit: Some(NfTablesLimitMatch {
                    packet_rate_per_second: ICMP_RATE,
                }),
                ..NfTablesRule::default()
            })
        }));
    }
    Ok(rules)
}

/// Where everything else is dropped, a rule lets its networks in; where everything else is let in, it drops all others.
fn configured(rule: &FirewallRule, block: bool) -> anyhow::Result<NfTablesRule> {
    let prefix = |p: &config::schema::types::Prefix| -> anyhow::Result<Prefix> { Ok(p.to_string().parse()?) };
    let subnets = |list: &[_]| list.iter().map(prefix).collect::<anyhow::Result<Vec<Prefix>>>();
    let range = |ports: &config::schema::types::Ports| PortRange {
        lo: ports.first,
        hi: ports.last,
    };
    let ranges: Vec<PortRange> = rule.ports.iter().map(range).collect();
    Ok(NfTablesRule {
        match_source_address: Some(NfTablesAddressMatch {
            include_subnets: subnets(&rule.subnets)?,
            exclude_subnets: subnets(&rule.except)?,
            invert: !block,
        }),
        match_layer4: Some(NfTablesLayer4Match {
            protocol: rule.protocol.parse().unwrap_or_default(),
            match_destination_port: (!ranges.is_empty()).then_some(NfTablesPortMatch { ranges }),
            ..NfTablesLayer4Match::default()
        }),
        anonymous_counter: true,
        verdict: Some(if block {
            NfTablesVerdict::Accept
        } else {
            NfTablesVerdict::Drop
        }),
        ..NfTablesRule::default()
    })
}

/// Gives the kernel the chains, all at once.
#[derive(Default)]
pub struct Chains {
    /// What the kernel has; nothing before the first chain.
    applied: Option<String>,
}

impl Reconcile for Chains {
    type Inputs = (All<NfTablesChain>,);
    type Outputs = ();

    async fn reconcile(&mut self, (chains,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<()>> {
        if chains.is_empty() && self.applied.is_none() {
            return Ok(Outcome::done(()));
        }
        let script = nft::script(chains.iter());
        if self.applied.as_ref() != Some(&script) {
            tokio::time::timeout(LIMIT, run(&script))
                .await
                .with_context(|| format!("set the firewall within {} s", LIMIT.as_secs()))??;
            self.applied = Some(script);
        }
        Ok(Outcome::done(()))
    }
}

async fn run(script: &str) -> anyhow::Result<()> {
    let mut command = tokio::process::Command::new(NFT);
    command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    let mut spawned = sys::process::reaper::spawn(&mut command)?;
    let mut stdin = spawned.child.stdin.take().context("give nft the rules")?;
    stdin.write_all(script.as_bytes()).await.context("give nft the rules")?;
    drop(stdin);
    let mut errors = Vec::new();
    if let Some(stderr) = &mut spawned.child.stderr {
        tokio::io::AsyncReadExt::read_to_end(stderr, &mut errors).await?;
    }
    let status = spawned.child.wait().await.context("wait for nft")?;
    ensure!(
        status.success(),
        "set the firewall: {}",
        String::from_utf8_lossy(&errors).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "version: v1alpha1\nmachine:\n    type: worker\n---\napiVersion: v1alpha1\nkind: \
                          NetworkRuleConfig\nname: api\nportSelector:\n    ports: [50000, 30000-32767]\n    protocol: \
                          tcp\ningress:\n    - subnet: 10.5.0.0/24\n      except: 10.5.0.9/32\n";
    const BLOCK: &str = "---\napiVersion: v1alpha1\nkind: NetworkDefaultActionConfig\ningress: block\n";

    fn script(text: &str) -> String {
        let config = One::from(MachineConfig(text.to_owned()));
        let address = NodeAddress {
            addresses: vec!["10.5.0.3/24".parse().unwrap()],
            ..NodeAddress::default()
        };
        let chains = chains(config, All::from([("current-no-k8s", address)])).unwrap();
        nft::script(chains.iter())
    }

    #[test]
    fn what_no_rule_lets_in_is_dropped_if_the_configuration_says_so() {
        let script = script(&format!("{CONFIG}{BLOCK}"));
        let wanted = [
            "chain ingress {\n\t\ttype filter hook input priority 0; policy drop;",
            "chain preroute {\n\t\ttype filter hook prerouting priority -150; policy drop;\n\t\tip daddr != { 10.5.0.3/32 } \
             counter accept\n\t\tmeta nfproto ipv6 counter accept\n",
            "ct state { established, related } counter accept",
            "iifname == { \"lo\" } counter accept",
            "ip saddr { 10.96.0.0/12, 10.244.0.0/16 } counter accept",
            "ip saddr { 10.5.0.0/24 } ip saddr != { 10.5.0.9/32 } tcp dport { 30000-32767, 50000 } counter accept",
            "meta l4proto 58 limit rate 50/second counter accept",
        ];
        for part in wanted {
            assert!(script.contains(part), "{part}\n{script}");
        }
    }

    #[test]
    fn a_rule_alone_keeps_others_out_of_its_ports_only() {
        let script = script(CONFIG);
        assert!(
            script.contains("policy accept") && !script.contains("policy drop"),
            "{script}"
        );
        let wanted = "ip saddr != { 10.5.0.0/24 } tcp dport { 30000-32767, 50000 } counter drop";
        assert!(script.contains(wanted), "{script}");
    }

    #[test]
    fn without_documents_there_is_no_firewall() {
        let script = script("version: v1alpha1\nmachine:\n    type: worker\n");
        assert!(!script.contains("chain"), "{script}");
    }
}
