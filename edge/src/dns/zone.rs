//! A hosted zone, compiled.
use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::rr::{Name, RData, Record, RecordType};
use snapshot::Data;

/// What a name of a zone holds.
#[derive(Debug, Default)]
pub struct Node {
    sets: BTreeMap<RecordType, Set>,
}

/// A record set.
#[derive(Debug)]
pub enum Set {
    /// Its records.
    Records(Vec<Record>),
    /// The name that answers for it.
    Alias(Name),
}

impl Node {
    /// The record set of a type.
    pub fn get(&self, kind: RecordType) -> Option<&Set> {
        self.sets.get(&kind)
    }

    /// All of them.
    pub fn sets(&self) -> impl Iterator<Item = (RecordType, &Set)> {
        self.sets.iter().map(|(kind, set)| (*kind, set))
    }
}

/// A zone. Names are lower case.
#[derive(Debug)]
pub struct Zone {
    /// Its apex.
    pub apex: Name,
    nodes: BTreeMap<Name, Node>,
    /// Names that only have names below them: they exist, empty.
    hollow: BTreeSet<Name>,
}

/// What a zone has at a name.
#[derive(Debug)]
pub enum At<'a> {
    /// Records.
    Node(&'a Node),
    /// The name exists, without records.
    Hollow,
    /// A name server set below the apex: others answer for it.
    Delegated(&'a [Record]),
    /// No such name.
    Nothing,
}

impl Zone {
    /// Compiles a zone; the error names the record that is wrong.
    pub fn compile(zone: &snapshot::Zone) -> Result<Self, String> {
        let apex = name(&zone.name)?;
        let mut compiled = Self { apex, nodes: BTreeMap::new(), hollow: BTreeSet::new() };
        for record in &zone.records {
            let wrong = |e: &dyn std::fmt::Display| format!("record {} {}: {e}", record.name, record.kind);
            let owner = name(&record.name)?;
            if !compiled.apex.zone_of(&owner) {
                return Err(wrong(&format!("outside of its zone {}", zone.name)));
            }
            let kind: RecordType = record.kind.parse().map_err(|e| wrong(&e))?;
            let set = match &record.data {
                Data::Alias { target } => Set::Alias(name(target)?),
                Data::Values { ttl, values } => {
                    let parse = |value: &String| {
                        let data = RData::try_from_str(kind, value).map_err(|e| wrong(&e))?;
                        Ok(Record::from_rdata(owner.clone(), *ttl, data))
                    };
                    Set::Records(values.iter().map(parse).collect::<Result<_, String>>()?)
                }
            };
            compiled.insert(owner, kind, set);
        }
        Ok(compiled)
    }

    fn insert(&mut self, owner: Name, kind: RecordType, set: Set) {
        let mut above = owner.base_name();
        while self.apex.zone_of(&above) && above != self.apex {
            self.hollow.insert(above.clone());
            above = above.base_name();
        }
        self.nodes.entry(owner).or_default().sets.insert(kind, set);
    }

    /// What is at a name of the zone; wildcards stand in for names that do not exist.
    pub fn at(&self, asked: &Name) -> At<'_> {
        if let Some(servers) = self.delegation(asked) {
            return At::Delegated(servers);
        }
        if let Some(node) = self.nodes.get(asked) {
            return At::Node(node);
        }
        if self.hollow.contains(asked) {
            return At::Hollow;
        }
        // The closest name that exists decides: a wildcard further up does not reach past it.
        let mut closest = asked.base_name();
        while closest != self.apex && !self.nodes.contains_key(&closest) && !self.hollow.contains(&closest) {
            closest = closest.base_name();
        }
        let wildcard = closest.prepend_label("*").ok();
        wildcard.and_then(|name| self.nodes.get(&name)).map_or(At::Nothing, At::Node)
    }

    /// The zone's start of authority.
    pub fn soa(&self) -> Option<&Record> {
        match self.nodes.get(&self.apex)?.get(RecordType::SOA)? {
            Set::Records(records) => records.first(),
            Set::Alias(_) => None,
        }
    }

    fn delegation(&self, asked: &Name) -> Option<&[Record]> {
        let depth = usize::from(self.apex.num_labels());
        let cuts = (depth + 1..=usize::from(asked.num_labels())).map(|labels| asked.trim_to(labels));
        let mut found = cuts.filter_map(|cut| match self.nodes.get(&cut)?.get(RecordType::NS)? {
            Set::Records(servers) => Some(servers.as_slice()),
            Set::Alias(_) => None,
        });
        found.next()
    }
}

/// Reads a name, in lower case and from the root.
pub fn name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|e| format!("{text:?} is no DNS name: {e}"))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}
