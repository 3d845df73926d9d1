//! IPv4 ranges.
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range such as `10.0.0.0/16`; its host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    base: u32,
    prefix: u8,
}

impl Cidr {
    /// Every address.
    pub const ANY: Self = Self { base: 0, prefix: 0 };

    /// The range of this size that holds the address. A prefix above 32 counts as 32.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: u32::from(address) & mask(prefix), prefix }
    }

    /// One address.
    pub fn host(address: Ipv4Addr) -> Self {
        Self::of(address, 32)
    }

    /// Bits of the network part.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many addresses it holds.
    pub fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// The first address.
    pub fn first(self) -> Ipv4Addr {
        self.base.into()
    }

    /// The last address.
    pub fn last(self) -> Ipv4Addr {
        (self.base | !mask(self.prefix)).into()
    }

    /// The address at an offset from the first, if it lies inside.
    pub fn nth(self, offset: u64) -> Option<Ipv4Addr> {
        let offset = u32::try_from(offset).ok().filter(|o| u64::from(*o) < self.size())?;
        Some((self.base + offset).into())
    }

    /// How far an address is from the first, if it lies inside.
    pub fn offset(self, address: Ipv4Addr) -> Option<u64> {
        self.holds(address).then(|| u64::from(u32::from(address) - self.base))
    }

    /// Whether the address lies inside.
    pub fn holds(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Whether all of `other` lies inside.
    pub fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.holds(other.first())
    }

    /// Whether they share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// `address` at the same offset of another range: how a VPC's addresses map to the range really in use.
    pub fn translate(self, address: Ipv4Addr, to: Self) -> Option<Ipv4Addr> {
        to.nth(self.offset(address)?)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.prefix)
    }
}

/// The text is not an IPv4 range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotACidr(String);

impl fmt::Display for NotACidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not an IPv4 range such as 10.0.0.0/16 with all host bits zero", self.0)
    }
}

impl std::error::Error for NotACidr {}

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let wrong = || NotACidr(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let plain = prefix.len() <= 2 && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse::<u8>().ok().filter(|p| plain && *p <= 32).ok_or_else(wrong)?;
        let range = Self::of(address, prefix);
        (range.first() == address).then_some(range).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Cidr {
    type Error = NotACidr;

    fn try_from(text: String) -> Result<Self, NotACidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(range: Cidr) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        for text in ["0.0.0.0/0", "10.0.0.0/16", "10.0.0.7/32", "172.31.240.0/20"] {
            assert_eq!(cidr(text).to_string(), text);
        }
        for text in ["10.0.0.1/16", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/0", ""] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn counts_holds_and_translates() {
        let vpc = cidr("10.0.0.0/16");
        assert_eq!((vpc.size(), vpc.last()), (65536, Ipv4Addr::new(10, 0, 255, 255)));
        assert_eq!((vpc.nth(257), vpc.nth(65536)), (Some(Ipv4Addr::new(10, 0, 1, 1)), None));
        assert!(vpc.contains(cidr("10.0.1.0/24")) && !cidr("10.0.1.0/24").contains(vpc));
        assert!(cidr("10.0.1.0/24").overlaps(vpc) && !vpc.overlaps(cidr("10.1.0.0/16")));
        assert!(Cidr::ANY.contains(vpc) && Cidr::ANY.size() == 1 << 32);
        let real = vpc.translate(Ipv4Addr::new(10, 0, 3, 9), cidr("10.77.0.0/16"));
        assert_eq!(real, Some(Ipv4Addr::new(10, 77, 3, 9)));
    }
}
