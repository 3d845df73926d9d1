//! Random pipelines, as the model and as the engine have them.
use super::model;
use super::*;

pub(super) const STAGES: [&str; 4] = ["s0", "s1", "s2", "s3"];
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

pub(super) fn stages(dice: &mut Dice, mode: u8) -> Vec<model::Stage> {
    let count = 2 + dice.roll(3);
    (0..count).map(|index| stage(dice, index > 0 && mode != model::PARALLEL)).collect()
}

fn stage(dice: &mut Dice, rolls: bool) -> model::Stage {
    let count = if dice.chance(3) { ACTIONS.len() } else { 1 + dice.roll(3) };
    let actions = (0..count).map(|_| (1 + dice.roll(2) as i32, dice.chance(20))).collect();
    let mut stage = model::Stage { actions, ..model::Stage::default() };
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
    let stage = |(index, stage): (usize, &model::Stage)| {
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
            name: STAGES[index].into(),
            actions: stage.actions.iter().enumerate().map(action).collect(),
            auto_retry: stage.retry.map(mode_of),
            auto_rollback: stage.rollback,
            conditions: (0..3).filter_map(condition).collect(),
        }
    };
    Plan { stages: stages.iter().enumerate().map(stage).collect() }
}

pub(super) fn mode_of(all: bool) -> RetryMode {
    if all { RetryMode::AllActions } else { RetryMode::FailedActions }
}
