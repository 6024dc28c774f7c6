//! From a name to its addresses.

use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The families a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4 and IPv6.
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameError {
    /// Nobody knows the name, or not in this family.
    #[error("the name is not known")]
    Unknown,
    /// No runtime could be made to ask with.
    #[error("cannot ask")]
    Runtime(#[source] io::Error),
    /// There is no server to ask, or none answered.
    #[error("no server answered")]
    Unanswered(#[source] NetError),
}

impl Family {
    fn holds(self, address: &IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    fn strategy(self) -> LookupIpStrategy {
        match self {
            Self::Any => LookupIpStrategy::Ipv4AndIpv6,
            Self::V4 => LookupIpStrategy::Ipv4Only,
            Self::V6 => LookupIpStrategy::Ipv6Only,
        }
    }
}

/// All addresses of a name. Blocks until there is an answer.
pub(super) fn resolve(name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
    let addresses = match fixed(name).or_else(|| listed(name, &Hosts::from_system().ok()?)) {
        Some(addresses) => addresses,
        None => ask(name, family)?,
    };
    let addresses: Vec<_> = addresses.into_iter().filter(|address| family.holds(address)).collect();
    if addresses.is_empty() { Err(NameError::Unknown) } else { Ok(addresses) }
}

/// What is so everywhere: numbers, and the name that always means this host.
fn fixed(name: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Some(vec![address]);
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (name == "localhost" || name.ends_with(".localhost"))
        .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

/// What `/etc/hosts` says. The resolver would look there too, but only after the search domains, and ask the
/// servers for the family the file does not list.
fn listed(name: &str, hosts: &Hosts) -> Option<Vec<IpAddr>> {
    let name = Name::from_str(name).ok()?;
    let found: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|answer| {
            answer.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
        })
        .collect();
    (!found.is_empty()).then_some(found)
}

/// What the servers of `/etc/resolv.conf` say.
fn ask(name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NameError::Runtime)?;
    runtime.block_on(async {
        let mut builder = TokioResolver::builder_tokio().map_err(NameError::Unanswered)?;
        builder.options_mut().ip_strategy = family.strategy();
        let resolver = builder.build().map_err(NameError::Unanswered)?;
        match resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_no_records_found() => Err(NameError::Unknown),
            Err(error) => Err(NameError::Unanswered(error)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_localhost_are_fixed() {
        assert_eq!(fixed("10.1.2.3"), Some(vec![Ipv4Addr::new(10, 1, 2, 3).into()]));
        assert_eq!(fixed("::1"), Some(vec![Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(fixed("LOCALHOST.").map(|addresses| addresses.len()), Some(2));
        assert_eq!(fixed("db.localhost").map(|addresses| addresses.len()), Some(2));
        assert_eq!(fixed("example.com"), None);
    }

    #[test]
    fn the_hosts_file_answers_for_short_names_and_either_family() {
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&b"10.9.8.7 db db.test # the database\nfd00::1 six\n"[..]).expect("parsed");
        assert_eq!(listed("db", &hosts), Some(vec![Ipv4Addr::new(10, 9, 8, 7).into()]));
        assert_eq!(listed("DB.test.", &hosts), Some(vec![Ipv4Addr::new(10, 9, 8, 7).into()]));
        assert_eq!(listed("six", &hosts), Some(vec!["fd00::1".parse().expect("an address")]));
        assert_eq!(listed("seven", &hosts), None);
        assert_eq!(listed("not a name\0", &hosts), None);
    }

    #[test]
    fn a_family_leaves_the_other_out() {
        let addresses = resolve("localhost", Family::V6).expect("known");
        assert_eq!(addresses, [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert!(matches!(resolve("127.0.0.1", Family::V6), Err(NameError::Unknown)));
    }
}
