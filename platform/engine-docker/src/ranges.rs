//! Which address ranges are free on this host.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use engine::Cidr;

/// Ranges tried before giving up.
const TRIES: u64 = 4096;

/// Private ranges, those that people use least first.
pub(crate) fn default_pool() -> Vec<Cidr> {
    [
        ([10, 128, 0, 0], 9),
        ([100, 64, 0, 0], 10),
        ([172, 16, 0, 0], 12),
        ([10, 0, 0, 0], 9),
        ([192, 168, 0, 0], 16),
    ]
    .map(|(base, prefix)| Cidr::of(Ipv4Addr::from(base), prefix))
    .into()
}

/// The wanted range, then free ones of its size, all disjoint from what is taken. The name decides where the search
/// begins, so that several Longshores on one host seldom try the same.
pub(crate) fn candidates(
    name: &str,
    wanted: Cidr,
    pool: &[Cidr],
    taken: &[Cidr],
) -> impl Iterator<Item = Cidr> {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let start = hasher.finish();
    let slices = pool.iter().filter(move |range| range.prefix() <= wanted.prefix()).flat_map(move |range| {
        let count = range.size() / wanted.size();
        (0..count.min(TRIES)).filter_map(move |i| {
            let nth = (start.wrapping_add(i)) % count;
            range.nth(nth * wanted.size()).map(|first| Cidr::of(first, wanted.prefix()))
        })
    });
    let free = move |range: &Cidr| !taken.iter().any(|other| other.overlaps(*range));
    std::iter::once(wanted).chain(slices.filter(move |range| *range != wanted)).filter(free)
}

/// The ranges that this machine's routes lead to, the default route aside. Empty where there is no such file.
pub(crate) fn host_routes() -> Vec<Cidr> {
    parse_routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// Destinations of `/proc/net/route`, whose addresses are hexadecimal in the machine's byte order.
fn parse_routes(text: &str) -> Vec<Cidr> {
    let address =
        |field: Option<&&str>| u32::from_str_radix(field?, 16).ok().map(|n| Ipv4Addr::from(n.to_ne_bytes()));
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (destination, mask) = (address(fields.get(1))?, address(fields.get(7))?);
        let prefix = u8::try_from(u32::from(mask).leading_ones()).ok()?;
        (prefix > 0).then(|| Cidr::of(destination, prefix))
    };
    text.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn the_wanted_range_comes_first_unless_it_is_taken() {
        let check = |taken: &[&str]| {
            let taken: Vec<Cidr> = taken.iter().map(|t| cidr(t)).collect();
            candidates("vpc", cidr("10.0.0.0/16"), &[cidr("10.200.0.0/14")], &taken).collect::<Vec<_>>()
        };
        let free = check(&[]);
        assert_eq!((free[0], free.len()), (cidr("10.0.0.0/16"), 5));
        assert!(free[1..].iter().all(|range| cidr("10.200.0.0/14").contains(*range)));
        // A host in a corner of the range is enough to leave it alone.
        let rest = check(&["10.0.7.0/24", "10.201.0.0/16"]);
        assert_eq!(rest.len(), 3);
        assert!(!rest.contains(&cidr("10.0.0.0/16")) && !rest.contains(&cidr("10.201.0.0/16")));
        assert!(check(&["0.0.0.0/0"]).is_empty());
    }

    #[test]
    fn routes_are_read_without_the_default() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_routes(text), [cidr("192.168.2.0/24")]);
    }
}
