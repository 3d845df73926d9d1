//! What somebody asks for: each says whether it may be, and does it.
use super::{Model, PARALLEL};

impl Model {
    pub fn start(&mut self) -> bool {
        let room = self.room();
        if room {
            self.begin(0, None);
        }
        room
    }

    pub fn stop(&mut self, run: usize, abandon: bool) -> bool {
        let run = &mut self.runs[run];
        let news = run.stop.is_none_or(|before| abandon && !before);
        if !run.active() || !news {
            return false;
        }
        run.stop = Some(abandon);
        run.status = "Stopping";
        true
    }

    /// Whether somebody may go on with the last stage of an execution, which ended there.
    fn resumable(&self, n: usize) -> bool {
        let run = &self.runs[n];
        let Some(visit) = run.visits.last() else { return false };
        let stage = visit.stage;
        self.index(stage).is_some()
            && (run.mode == PARALLEL || self.latest.get(&stage) == Some(&n))
            && self.inside(run) == Some(stage)
            && self.current(run)
            && !self.pending(stage)
            && self.room()
    }

    pub fn retry(&mut self, n: usize, all: bool) -> bool {
        let ended = self.runs[n].visits.last().is_some_and(|v| matches!(v.status, "Failed" | "Stopped"));
        if !ended || !self.resumable(n) || (all && self.runs[n].busy()) {
            return false;
        }
        self.again(n, all, 0);
        true
    }

    /// Somebody lets an execution pass the entry or the success condition of the stage that it was last in.
    pub fn pass(&mut self, n: usize, which: usize) -> bool {
        let Some(visit) = self.runs[n].visits.last() else { return false };
        let Some(stage) = self.index(visit.stage).map(|index| &self.plan()[index]) else { return false };
        let declared = stage.conditions[which].is_some_and(|(result, _)| result != "SKIP");
        let run = &self.runs[n];
        let latest = run.mode == PARALLEL || self.latest.get(&visit.stage) == Some(&n);
        if !declared || !latest || self.inside(run) != Some(visit.stage) || !self.current(run) {
            return false;
        }
        match visit.conditions[which].as_ref().map(|c| c.status) {
            Some("InProgress") if run.status == "InProgress" => {}
            Some("Failed" | "Errored") if visit.status == "Failed" && self.resumable(n) => {}
            _ => return false,
        }
        let run = &mut self.runs[n];
        run.status = "InProgress";
        if let Some(visit) = run.visits.last_mut() {
            visit.status = "InProgress";
            if let Some(condition) = &mut visit.conditions[which] {
                condition.status = "Overridden";
            }
        }
        true
    }

    pub fn roll_back(&mut self, stage: usize, target: usize) -> bool {
        let Some(index) = self.index(stage) else { return false };
        let run = &self.runs[target];
        let succeeded = run.visits.iter().any(|v| v.stage == stage && v.status == "Succeeded");
        let skipped = self
            .latest
            .get(&stage)
            .is_some_and(|n| self.runs[*n].visits.iter().any(|v| v.stage == stage && v.status == "Skipped"));
        let may = self.mode != PARALLEL
            && index > 0
            && self.current(run)
            && run.rollback.is_none()
            && succeeded
            && self.holder(stage).is_none()
            && !self.pending(stage)
            && !skipped;
        if may {
            self.begin(index, Some(target));
        }
        may
    }
}
