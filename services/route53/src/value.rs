//! Values of records: what each type may hold, and the form in which the edge reads them.
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};

/// Bytes of a character string (RFC 1035).
const CHARACTER_STRING: usize = 255;

/// Types that are served: AWS's others need DNSSEC or are obsolete, and the edge reads none of them.
pub const TYPES: &[&str] = &[
    "SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "AAAA", "CAA", "TLSA", "SSHFP", "SVCB",
    "HTTPS",
];

/// Checks a value of a type; the error is the text behind `Invalid Resource Record: `. A value that passes can be
/// read by the edge, whose parser has the last word here: one unreadable value would spoil a whole snapshot.
pub fn check(kind: &str, value: &str) -> Result<(), String> {
    let fatal = |problem: &str| Err(format!("FATAL problem: {problem} encountered with '{value}'"));
    match kind {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            return fatal("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)");
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            return fatal("AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)");
        }
        "TXT" => match strings(value) {
            None => {
                return fatal("InvalidCharacterString (Value should be enclosed in quotation marks)");
            }
            Some(strings) if strings.iter().any(|bytes| *bytes > CHARACTER_STRING) => {
                return fatal("CharacterStringTooLong (Value is too long)");
            }
            Some(_) => {}
        },
        _ => {}
    }
    if let Some(fields) = fields(kind)
        && value.split_whitespace().count() != fields
    {
        let plural = if fields == 1 { "" } else { "s" };
        return fatal(&format!("InvalidFieldCount (A {kind} value has {fields} field{plural})"));
    }
    let parsed = kind.parse::<RecordType>().map_err(|e| e.to_string());
    let read = parsed.and_then(|kind_read| {
        RData::try_from_str(kind_read, &absolute(kind, value)).map_err(|e| e.to_string())
    });
    match read {
        Ok(_) => Ok(()),
        Err(reason) => fatal(&format!("{kind}RRDATAInvalid (Value is not a valid {kind}: {reason})")),
    }
}

/// The value with its names from the root, as Route 53 takes them: in a zone file they would be below the zone.
pub fn absolute(kind: &str, value: &str) -> String {
    let names: &[usize] = match kind {
        "CNAME" | "NS" | "PTR" => &[0],
        "MX" => &[1],
        "SRV" => &[3],
        "SOA" => &[0, 1],
        _ => return value.to_owned(),
    };
    let field = |(index, field): (usize, &str)| {
        let relative = names.contains(&index) && !field.ends_with('.');
        if relative { format!("{field}.") } else { field.to_owned() }
    };
    value.split_whitespace().enumerate().map(field).collect::<Vec<_>>().join(" ")
}

/// How many fields a value of a type has, where none of them may hold a space.
fn fields(kind: &str) -> Option<usize> {
    match kind {
        "A" | "AAAA" | "CNAME" | "NS" | "PTR" => Some(1),
        "MX" => Some(2),
        "SSHFP" => Some(3),
        "SRV" | "TLSA" => Some(4),
        "SOA" => Some(7),
        _ => None,
    }
}

/// The bytes of each quoted string of a TXT value; none if something stands outside of quotes.
fn strings(value: &str) -> Option<Vec<usize>> {
    let mut strings = Vec::new();
    let mut rest = value.trim();
    while let Some(open) = rest.strip_prefix('"') {
        let (mut bytes, mut at) = (0, 0);
        let inner = open.as_bytes();
        loop {
            match *inner.get(at)? {
                b'"' => break,
                b'\\' if inner.get(at + 1).is_some_and(u8::is_ascii_digit) => at += 4,
                b'\\' => at += 2,
                _ => at += 1,
            }
            bytes += 1;
        }
        strings.push(bytes);
        rest = open.get(at + 1..)?.trim_start();
    }
    (rest.is_empty() && !strings.is_empty()).then_some(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_takes_what_the_edge_can_read() {
        let check = |kind: &str, value: &str, expected: &str| {
            assert!(TYPES.contains(&kind), "{kind}");
            let told = check(kind, value).err().unwrap_or_else(|| "fine".into());
            assert!(told.contains(expected), "{kind} {value}: {told}");
        };
        check("A", "192.0.2.1", "fine");
        check("A", "192.0.2", "ARRDATAIllegalIPv4Address");
        check("A", "192.0.2.1 ; more", "ARRDATAIllegalIPv4Address");
        check("AAAA", "2001:db8::1", "fine");
        check("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address");
        check("CNAME", "www.example.com", "fine");
        check("CNAME", "_x.acm-validations.aws.", "fine");
        check("CNAME", "a b", "InvalidFieldCount");
        check("CNAME", "a..b", "CNAMERRDATAInvalid");
        check("MX", "10 mail.example.com", "fine");
        check("MX", "mail.example.com", "InvalidFieldCount");
        check("MX", "ten mail.example.com", "MXRRDATAInvalid");
        check("SRV", "1 10 5269 xmpp.example.com.", "fine");
        check("NS", "ns-1.example.com.", "fine");
        check("SOA", "ns.example.com. admin.example.com. 1 7200 900 1209600 86400", "fine");
        check("CAA", "0 issue \"letsencrypt.org\"", "fine");
        check("CAA", "0 issue", "CAARRDATAInvalid");
        check("PTR", "host.example.com", "fine");
        check("TXT", "\"v=spf1 -all\"", "fine");
        check("TXT", "\"a;b\" \"say \\\"hi\\\" (\"", "fine");
        check("TXT", "v=spf1 -all", "InvalidCharacterString");
        check("TXT", "\"open", "InvalidCharacterString");
        check("TXT", &format!("\"{}\"", "x".repeat(255)), "fine");
        check("TXT", &format!("\"{}\"", "x".repeat(256)), "CharacterStringTooLong");
        check("TXT", &format!("\"{}\"", "\\101".repeat(255)), "fine");
        check("SSHFP", "1 1 aabbccddeeff00112233445566778899aabbccdd", "fine");
    }

    #[test]
    fn names_in_values_are_from_the_root() {
        assert_eq!(absolute("MX", "10  mail.example.com"), "10 mail.example.com.");
        assert_eq!(absolute("CNAME", "a.example.com."), "a.example.com.");
        assert_eq!(absolute("TXT", "\"two  spaces\""), "\"two  spaces\"");
    }
}
