//! What our objects are called, and the labels that say what they are.
use std::collections::HashMap;

use engine::TaskId;

/// The owner of an object.
pub(crate) const OWNER: &str = "longshore.owner";
/// The task that an object belongs to.
pub(crate) const TASK: &str = "longshore.task";
/// A container's name within its task; the pause has none.
pub(crate) const CONTAINER: &str = "longshore.container";
/// A container's place in the order in which its task lists them.
pub(crate) const PLACE: &str = "longshore.place";
/// How long the longest chain of dependencies below a container is: stopping begins with the highest.
pub(crate) const DEPTH: &str = "longshore.depth";
/// The reference a container was made from; Docker is given the id that it had then.
pub(crate) const IMAGE: &str = "longshore.image";
/// On the pause: the task's own labels, as JSON.
pub(crate) const LABELS: &str = "longshore.labels";
/// On the pause: the network's name.
pub(crate) const NETWORK: &str = "longshore.network";
/// The image of the pause: nothing at all, since the binary is mounted.
pub(crate) const PAUSE_IMAGE: &str = "longshore/pause:1";
/// The namespace's interface to its network. What comes by any other is the task's own.
pub(crate) const INTERFACE: &str = "eth0";

/// Names of one owner's objects.
pub(crate) struct Names {
    owner: String,
}

impl Names {
    pub(crate) fn new(owner: &str) -> Self {
        Self { owner: owner.to_owned() }
    }

    pub(crate) fn network(&self, name: &str) -> String {
        format!("longshore-{}-{name}", self.owner)
    }

    /// The engine refuses a name twice: this is what makes a task's id unique.
    pub(crate) fn pause(&self, id: &TaskId) -> String {
        format!("longshore-{}-{id}", self.owner)
    }

    pub(crate) fn container(&self, id: &TaskId, name: &str) -> String {
        format!("longshore-{}-{id}.{name}", self.owner)
    }

    pub(crate) fn volume(&self, id: &TaskId, name: &str) -> String {
        format!("longshore-{}-{id}.{name}", self.owner)
    }

    pub(crate) fn labels(&self, id: &TaskId) -> HashMap<String, String> {
        HashMap::from([(OWNER.into(), self.owner.clone()), (TASK.into(), id.to_string())])
    }

    pub(crate) fn owner_label(&self) -> String {
        format!("{OWNER}={}", self.owner)
    }

    /// Filters for what belongs to the owner, and to one task if one is given.
    pub(crate) fn filter(&self, id: Option<&TaskId>) -> HashMap<String, Vec<String>> {
        let task = id.map(|id| format!("{TASK}={id}"));
        HashMap::from([("label".to_owned(), [self.owner_label()].into_iter().chain(task).collect())])
    }
}
