//! Takes from botocore what we serve: allowed operations and the shapes they reach, without documentation text.
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{SERVICES, root};

/// What a shape or reference may keep.
const KEPT: &[&str] = &[
    "type",
    "members",
    "member",
    "key",
    "value",
    "required",
    "enum",
    "min",
    "max",
    "pattern",
    "shape",
    "location",
    "locationName",
    "queryName",
    "flattened",
    "payload",
    "xmlNamespace",
    "xmlAttribute",
    "timestampFormat",
    "sensitive",
    "exception",
    "error",
    "fault",
    "resultWrapper",
    "union",
];

/// Rewrites every model in `models/`.
pub fn run(botocore: &Path) -> Result<(), String> {
    let models = root().join("models");
    let allow = read(&models.join("allow.json"))?;
    for (name, folder, _) in SERVICES.iter().filter(|(_, folder, _)| !folder.is_empty()) {
        let model = load(&botocore.join(folder))?;
        let all: Vec<&String> = model["operations"].as_object().ok_or("no operations")?.keys().collect();
        let wanted: Vec<&str> = match &allow[*name] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            _ => all.iter().map(|s| s.as_str()).collect(),
        };
        let pruned = prune(&model, &wanted, &all).map_err(|e| format!("{name}: {e}"))?;
        let text = serde_json::to_string_pretty(&pruned).map_err(|e| e.to_string())? + "\n";
        fs::write(models.join(format!("{name}.json")), text).map_err(|e| e.to_string())?;
        println!("{name}: {} of {} operations", wanted.len(), all.len());
    }
    Ok(())
}

fn prune(model: &Value, wanted: &[&str], all: &[&String]) -> Result<Value, String> {
    let mut operations = Map::new();
    let mut reached = BTreeSet::new();
    for name in wanted {
        let operation = &model["operations"][*name];
        if !operation.is_object() {
            return Err(format!("{name} is not an operation of the model"));
        }
        let mut kept = Map::new();
        for key in ["http", "input", "output", "errors"] {
            if let Some(value) = operation.get(key) {
                kept.insert(key.into(), if key == "http" { value.clone() } else { strip(value) });
            }
        }
        collect(&Value::Object(kept.clone()), model, &mut reached);
        operations.insert((*name).into(), kept.into());
    }
    let shapes: Map<String, Value> =
        reached.iter().map(|s| (s.clone(), strip(&model["shapes"][s]))).collect();
    let metadata = &model["metadata"];
    let keys = [
        "apiVersion",
        "awsQueryCompatible",
        "endpointPrefix",
        "jsonVersion",
        "protocol",
        "protocols",
        "signingName",
        "targetPrefix",
        "xmlNamespace",
    ];
    let metadata: Map<String, Value> =
        keys.iter().filter_map(|k| Some(((*k).to_owned(), metadata.get(*k)?.clone()))).collect();
    Ok(json!({"metadata": metadata, "all_operations": all, "operations": operations, "shapes": shapes}))
}

fn collect(value: &Value, model: &Value, reached: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(shape) = object.get("shape").and_then(Value::as_str)
                && reached.insert(shape.to_owned())
            {
                collect(&strip(&model["shapes"][shape]), model, reached);
            }
            object.values().for_each(|value| collect(value, model, reached));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, model, reached)),
        _ => {}
    }
}

/// Keeps the known keys; members are a map of names, so their names always stay.
fn strip(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| KEPT.contains(&key.as_str()))
            .map(|(key, value)| match (key.as_str(), value) {
                ("members", Value::Object(members)) => (
                    key.clone(),
                    members.iter().map(|(name, member)| (name.clone(), strip(member))).collect(),
                ),
                ("error", error) => (key.clone(), error.clone()),
                ("xmlNamespace", namespace) => (key.clone(), namespace.clone()),
                _ => (key.clone(), strip(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(strip).collect(),
        other => other.clone(),
    }
}

fn load(folder: &Path) -> Result<Value, String> {
    let versions = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let newest = versions
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .max()
        .ok_or("no version")?;
    let packed = newest.join("service-2.json.gz");
    if !packed.exists() {
        return read(&newest.join("service-2.json"));
    }
    let mut text = String::new();
    let file = fs::File::open(&packed).map_err(|e| e.to_string())?;
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| e.to_string())
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}
