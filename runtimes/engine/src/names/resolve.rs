//! From a name to its addresses.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// No server could be asked, or none answered.
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
    let addresses = match known(name) {
        Some(addresses) => addresses,
        None => ask(name, family)?,
    };
    let addresses: Vec<_> = addresses.into_iter().filter(|address| family.holds(address)).collect();
    if addresses.is_empty() { Err(NameError::Unknown) } else { Ok(addresses) }
}

/// What needs nobody to be asked: numbers, and the name that always means this host.
fn known(name: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Some(vec![address]);
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (name == "localhost" || name.ends_with(".localhost"))
        .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

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
    fn numbers_and_localhost_ask_nobody() {
        assert_eq!(known("10.1.2.3"), Some(vec![Ipv4Addr::new(10, 1, 2, 3).into()]));
        assert_eq!(known("::1"), Some(vec![Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(known("LOCALHOST.").map(|addresses| addresses.len()), Some(2));
        assert_eq!(known("db.localhost").map(|addresses| addresses.len()), Some(2));
        assert_eq!(known("example.com"), None);
    }

    #[test]
    fn a_family_leaves_the_other_out() {
        let addresses = resolve("localhost", Family::V6).expect("known");
        assert_eq!(addresses, [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert!(matches!(resolve("127.0.0.1", Family::V6), Err(NameError::Unknown)));
    }
}
