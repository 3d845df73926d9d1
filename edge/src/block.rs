//! CIDR blocks of either family.
use std::net::IpAddr;

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    net: IpAddr,
    bits: u8,
}

impl Block {
    /// As in `10.0.0.0/16`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no CIDR block");
        let (net, bits) = text.split_once('/').ok_or_else(wrong)?;
        let (net, bits): (IpAddr, u8) =
            (net.parse().map_err(|_| wrong())?, bits.parse().map_err(|_| wrong())?);
        let most = if net.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { net, bits }).ok_or_else(wrong)
    }

    /// Whether an address lies inside.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let same =
            |a: u128, b: u128, width: u8| (a ^ b).checked_shr(u32::from(width - self.bits)).unwrap_or(0) == 0;
        match (self.net, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same(u32::from(net).into(), u32::from(ip).into(), 32),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same(net.into(), ip.into(), 128),
            _ => false,
        }
    }
}
