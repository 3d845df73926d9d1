//! Random pipelines, as the model and as the engine have them.
use super::model;
use super::*;

pub(super) const STAGES: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];
pub(super) const ACTIONS: [&str; 7] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6"];
pub(super) const RULES: [&str; 2] = ["r0", "r1"];
pub(super) const MOMENTS: [Moment; 3] = [Moment::BeforeEntry, Moment::OnSuccess, Moment::OnFailure];

/// SplitMix64.
#[derive(Default)]
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % sides.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())].clone())
    }
}

/// The stages of a pipeline that had these before.
pub(super) fn stages(dice: &mut Dice, mode: u8, before: &[model::Stage]) -> Vec<model::Stage> {
    let names = names(dice, before.iter().map(|stage| stage.name).collect());
    let stages = names.into_iter().enumerate();
    stages.map(|(index, name)| stage(dice, name, index > 0 && mode != model::PARALLEL)).collect()
}

/// Their names: what there was, of which some may go, come between, change places or be called otherwise.
fn names(dice: &mut Dice, mut names: Vec<usize>) -> Vec<usize> {
    let count = 2 + dice.roll(3);
    let fresh = |names: &[usize]| (0..STAGES.len()).find(|name| !names.contains(name)).unwrap_or_default();
    while names.len() > count {
        let gone = if dice.chance(50) { names.len() - 1 } else { dice.roll(names.len()) };
        names.remove(gone);
    }
    while names.len() < count {
        let place = if dice.chance(50) { names.len() } else { dice.roll(names.len() + 1) };
        names.insert(place, fresh(&names));
    }
    if dice.chance(25) {
        let (one, other) = (dice.roll(count), dice.roll(count));
        names.swap(one, other);
    }
    if dice.chance(25) {
        let renamed = dice.roll(count);
        names[renamed] = fresh(&names);
    }
    names
}

fn stage(dice: &mut Dice, name: usize, rolls: bool) -> model::Stage {
    let count = if dice.chance(3) { ACTIONS.len() } else { 1 + dice.roll(3) };
    let actions = (0..count).map(|_| (1 + dice.roll(2) as i32, dice.chance(20))).collect();
    let mut stage = model::Stage { name, actions, ..model::Stage::default() };
    let rules = |dice: &mut Dice| 1 + dice.roll(2);
    if dice.chance(20) {
        let result = if dice.chance(40) { "SKIP" } else { "FAIL" };
        stage.conditions[model::ENTRY] = Some((result, rules(dice)));
    }
    if dice.chance(20) {
        let result = if rolls && dice.chance(60) { "ROLLBACK" } else { "FAIL" };
        stage.conditions[model::SUCCESS] = Some((result, rules(dice)));
    }
    match dice.roll(8) {
        0 | 1 => stage.retry = Some(dice.chance(50)),
        2 | 3 if rolls => stage.rollback = true,
        4 if rolls => stage.conditions[model::FAILURE] = Some(("ROLLBACK", rules(dice))),
        _ => {}
    }
    stage
}

/// A plan of the model, for the engine.
pub(super) fn plan(stages: &[model::Stage]) -> Plan {
    let timeout = model::TIMEOUT;
    let stage = |stage: &model::Stage| {
        let action = |(index, (order, person)): (usize, &(i32, bool))| PlanAction {
            name: ACTIONS[index].into(),
            order: *order,
            work: if *person { Work::Approval } else { Work::Provider },
            timeout,
        };
        let condition = |which: usize| {
            let (result, rules) = stage.conditions[which]?;
            let result = match result {
                "SKIP" => Consequence::Skip,
                "ROLLBACK" => Consequence::Rollback,
                _ => Consequence::Fail,
            };
            let rules = (0..rules).map(|rule| PlanRule { name: RULES[rule].into(), timeout }).collect();
            Some((MOMENTS[which], PlanCondition { result, rules }))
        };
        PlanStage {
            name: STAGES[stage.name].into(),
            actions: stage.actions.iter().enumerate().map(action).collect(),
            auto_retry: stage.retry.map(mode_of),
            auto_rollback: stage.rollback,
            conditions: (0..3).filter_map(condition).collect(),
        }
    };
    Plan { stages: stages.iter().map(stage).collect() }
}

pub(super) fn mode_of(all: bool) -> RetryMode {
    if all { RetryMode::AllActions } else { RetryMode::FailedActions }
}
