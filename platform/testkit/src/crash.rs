//! A process that dies after each of its commits in turn.
use kernel::Fault;
use serde_json::Value;

use crate::World;

/// Does a deed in a world that is killed after its first commit, restarts on the same data and does the deed again, as
/// a client that got no answer would; then the same after the second commit, and so on until it is done before the
/// kill. What it comes to must always be what it comes to without one. Each time there is something new of `C`: what
/// outlives the process. At least `least` kills must have been possible.
pub async fn killed_after_each_commit<C: Clone + Default, S: Into<World>>(
    least: u64,
    open: impl AsyncFn(World, C) -> S,
    deed: impl AsyncFn(&S) -> Result<(), Fault>,
    outcome: impl AsyncFn(&S) -> Value,
) {
    let whole = open(World::new().await, C::default()).await;
    deed(&whole).await.unwrap_or_else(|fault| panic!("without a kill: {fault:?}"));
    let expected = outcome(&whole).await;
    for commits in 1.. {
        let outside = C::default();
        let killed = open(World::stopping_after(commits).await, outside.clone()).await;
        let survived = deed(&killed).await.is_ok();
        let world: World = killed.into();
        let next = open(world.restart().await, outside).await;
        deed(&next).await.unwrap_or_else(|fault| panic!("killed after {commits} commits: {fault:?}"));
        assert_eq!(outcome(&next).await, expected, "killed after {commits} commits");
        if survived {
            assert!(commits > least, "only {} commits were killed after", commits - 1);
            return;
        }
    }
}
