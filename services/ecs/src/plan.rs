//! What a service does next. Pure: from what is wanted and what is seen to what is started and stopped.
use crate::limits;

/// How many tasks a service wants, and how far it may stray on the way.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Tasks.
    pub desired: usize,
    /// Percent of them that stay healthy; rounded up.
    pub minimum: usize,
    /// Percent of them that may live; rounded down.
    pub maximum: usize,
    /// No task is started now: after failures, or because the deployment was given up.
    pub hold: bool,
}

/// A task of the service that has not been told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The task.
    pub id: String,
    /// Whether it belongs to the newest deployment.
    pub primary: bool,
    /// As far as is known.
    pub health: Health,
    /// Scale-in leaves it alone.
    pub protected: bool,
}

/// A task's health, of its containers and in its target groups together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It starts, or its checks have not spoken.
    Pending,
    /// It was healthy, and nobody can tell now: the load balancer, or what hears of it, has just started again.
    Unknown,
    /// It does what it should.
    Healthy,
    /// It is to be replaced, for this reason.
    Unhealthy(String),
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tasks of the newest deployment to start.
    pub start: usize,
    /// Tasks to stop.
    pub stop: Vec<(String, Why)>,
    /// All is as it is wanted.
    pub done: bool,
    /// Nothing may be started or stopped, and nothing is under way that would change that.
    pub blocked: bool,
}

/// Why a task is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A newer deployment takes its place.
    Replaced,
    /// There are more than are wanted.
    Surplus,
    /// It is unhealthy.
    Unhealthy(String),
}

/// Decides. `ending` says whether tasks of the service are still on their way out.
pub fn plan(wanted: Wanted, seen: &[Seen], ending: bool) -> Plan {
    let Wanted { desired, minimum, maximum, hold } = wanted;
    let floor = (desired * minimum).div_ceil(100);
    let ceiling = desired * maximum / 100;
    let (primary, old): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|task| task.primary);
    let healthy = |tasks: &[&Seen]| tasks.iter().filter(|task| task.health == Health::Healthy).count();
    let (bad, good): (Vec<&Seen>, Vec<&Seen>) =
        primary.iter().partition(|task| matches!(task.health, Health::Unhealthy(_)));
    let lacking = desired.saturating_sub(good.len());
    let room = ceiling.saturating_sub(seen.len());
    let start = if hold { 0 } else { lacking.min(room).min(limits::STARTS) };

    let mut stop = surplus(&good, desired);
    // An unhealthy task stays until others do its work, unless there is no room for its replacement.
    let make_room = if hold { 0 } else { lacking.saturating_sub(room) };
    let spare = if healthy(&primary) >= desired { bad.len() } else { make_room.min(bad.len()) };
    stop.extend(bad.iter().take(spare).filter_map(|task| match &task.health {
        Health::Unhealthy(reason) => Some((task.id.clone(), Why::Unhealthy(reason.clone()))),
        Health::Pending | Health::Unknown | Health::Healthy => None,
    }));
    // Old tasks go as new ones become healthy; before that only where there is no room to start without.
    let keep = if lacking > room { floor } else { desired.max(floor) };
    let spare = (healthy(&primary) + healthy(&old)).saturating_sub(keep);
    let replaced = |task: &&Seen| (task.id.clone(), Why::Replaced);
    stop.extend(old.iter().filter(|task| task.health == Health::Healthy).take(spare).map(replaced));
    // What serves nobody is not missed, once something newer is on its way. What may serve is kept until it is known.
    let idle = !good.is_empty() || start > 0 || desired == 0 || lacking > room;
    let useless = |task: &&&Seen| match task.health {
        Health::Healthy => false,
        Health::Unknown => desired == 0,
        Health::Pending | Health::Unhealthy(_) => idle,
    };
    stop.extend(old.iter().filter(useless).map(replaced));

    let done = healthy(&primary) == desired && primary.len() == desired && old.is_empty() && !ending;
    let moving = start > 0 || !stop.is_empty() || ending || hold;
    let waiting = seen.iter().any(|task| matches!(task.health, Health::Pending | Health::Unknown));
    Plan { start, stop, done, blocked: !done && !moving && !waiting }
}

/// Scale-in: what serves nobody yet first, then the newest.
fn surplus(good: &[&Seen], desired: usize) -> Vec<(String, Why)> {
    let mut free: Vec<&&Seen> = good.iter().filter(|task| !task.protected).collect();
    free.reverse();
    free.sort_by_key(|task| task.health == Health::Healthy);
    let many = good.len().saturating_sub(desired);
    free.into_iter().take(many).map(|task| (task.id.clone(), Why::Surplus)).collect()
}

/// Failed tasks at which the circuit breaker gives up: `half` of the desired ones, within its bounds.
pub fn threshold(desired: usize, kind: &str, value: usize) -> usize {
    match kind {
        "COUNT" => value,
        "UNBOUNDED_PERCENT" => (desired * value).div_ceil(100).max(1),
        _ => (desired * value).div_ceil(100).clamp(3, 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks as a word each: `n` new or `o` old; then `h`ealthy, `p`ending, `?` for unknown, `u`nhealthy, or `!` protected
    /// and healthy.
    fn seen(tasks: &str) -> Vec<Seen> {
        let health = |letter| match letter {
            Some('p') => Health::Pending,
            Some('?') => Health::Unknown,
            Some('u') => Health::Unhealthy("it is ill".into()),
            _ => Health::Healthy,
        };
        let task = |(i, word): (usize, &str)| Seen {
            id: format!("{word}{i}"),
            primary: word.starts_with('n'),
            health: health(word.chars().nth(1)),
            protected: word.ends_with('!'),
        };
        tasks.split_whitespace().enumerate().map(task).collect()
    }

    #[track_caller]
    fn check(wanted: (usize, usize, usize), tasks: &str, start: usize, stop: &str, state: &str) {
        let (desired, minimum, maximum) = wanted;
        let planned = plan(Wanted { desired, minimum, maximum, hold: false }, &seen(tasks), false);
        let stopped: Vec<&str> = planned.stop.iter().map(|(id, _)| id.as_str()).collect();
        let told = if planned.done {
            "done"
        } else if planned.blocked {
            "blocked"
        } else {
            ""
        };
        assert_eq!((planned.start, stopped.join(" ").as_str(), told), (start, stop, state));
    }

    #[test]
    fn a_service_comes_up_and_stays() {
        check((2, 100, 200), "", 2, "", "");
        check((2, 100, 200), "np np", 0, "", "");
        check((2, 100, 200), "nh np", 0, "", "");
        check((2, 100, 200), "nh nh", 0, "", "done");
        check((0, 100, 200), "", 0, "", "done");
        check((0, 100, 200), "nh np", 0, "np1 nh0", "");
    }

    #[test]
    fn new_tasks_replace_old_ones_within_the_bounds() {
        // Room to start: nothing old goes before something new is healthy.
        check((1, 100, 200), "oh", 1, "", "");
        check((1, 100, 200), "oh np", 0, "", "");
        check((1, 100, 200), "oh nh", 0, "oh0", "");
        check((4, 50, 200), "oh oh oh oh", 4, "", "");
        check((4, 50, 200), "oh oh oh oh nh nh np np", 0, "oh0 oh1", "");
        // No room: stop down to the floor first.
        check((4, 50, 100), "oh oh oh oh", 0, "oh0 oh1", "");
        check((1, 0, 100), "oh", 0, "oh0", "");
        // Neither allowed.
        check((3, 100, 125), "oh oh oh", 0, "", "blocked");
        check((2, 75, 100), "oh oh", 0, "", "blocked");
    }

    #[test]
    fn what_serves_nobody_is_not_kept() {
        check((2, 100, 200), "op ou", 2, "op0 ou1", "");
        check((1, 100, 200), "ou nh", 0, "ou0", "");
    }

    #[test]
    fn what_may_serve_is_kept_until_it_is_known() {
        check((2, 100, 200), "o? o?", 2, "", "");
        check((2, 100, 200), "o? oh nh np", 0, "", "");
        check((2, 100, 200), "o? o? nh nh", 0, "", "");
        check((2, 100, 200), "oh oh nh nh", 0, "oh0 oh1", "");
        check((2, 50, 100), "o? oh", 0, "", "");
        check((2, 100, 200), "n? n?", 0, "", "");
        check((0, 100, 200), "o?", 0, "o?0", "");
    }

    #[test]
    fn unhealthy_tasks_are_replaced_first_where_there_is_room() {
        check((2, 100, 200), "nh nu", 1, "", "");
        check((2, 100, 200), "nh nu np", 0, "", "");
        check((2, 100, 200), "nh nu nh", 0, "nu1", "");
        check((2, 100, 100), "nh nu", 0, "nu1", "");
    }

    #[test]
    fn scale_in_takes_the_newest_and_leaves_what_is_protected() {
        check((1, 100, 200), "nh nh np", 0, "np2 nh1", "");
        check((1, 100, 200), "nh nh!", 0, "nh0", "");
        check((0, 100, 200), "nh!", 0, "", "blocked");
    }

    #[test]
    fn nothing_starts_while_it_holds() {
        let held = Wanted { desired: 2, minimum: 100, maximum: 200, hold: true };
        assert_eq!(plan(held, &seen("oh oh"), false), Plan::default());
    }

    #[test]
    fn thresholds_are_bounded() {
        let bounded = |desired| threshold(desired, "BOUNDED_PERCENT", 50);
        assert_eq!([bounded(1), bounded(25), bounded(400), bounded(1000)], [3, 13, 200, 200]);
        assert_eq!((threshold(100, "COUNT", 7), threshold(10, "UNBOUNDED_PERCENT", 10)), (7, 1));
    }
}
