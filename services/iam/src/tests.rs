mod credentials;
mod decisions;
mod entities;

use std::sync::Arc;

use kernel::{Authority, Cx, Fault};
use serde_json::{Value, json};
use testkit::{ACCOUNT, REGION, World};

use crate::{Deps, Iam};

struct Setup {
    world: World,
    iam: Arc<Iam>,
}

async fn serve(mut world: World) -> Setup {
    let iam = Iam::new(Deps {
        store: world.store.clone(),
        sealer: world.sealer.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
    });
    world.serve_under(iam.clone(), |ops| iam.register(ops));
    Setup { world, iam }
}

async fn setup() -> Setup {
    serve(World::new().await).await
}

impl Setup {
    /// `root`, a user by name, or `role/SESSION` assumed by ECS.
    async fn cx(&self, who: &str) -> Cx {
        let principal = match who.split_once('/') {
            _ if who == "root" => return self.world.cx(),
            Some((role, session)) => {
                let role = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
                self.iam.assume("ecs-tasks.amazonaws.com", &role, session).await.unwrap()
            }
            None => {
                let user = self.iam.get::<crate::records::User>(ACCOUNT, who).await.unwrap();
                crate::directory::user_principal(ACCOUNT, &user.value)
            }
        };
        self.world.ops().enter(principal, REGION, "test-request")
    }

    async fn call(&self, who: &str, op: &str, input: Value) -> Result<Value, Fault> {
        let op = if op.contains('.') { op.to_owned() } else { format!("iam.{op}") };
        self.world.call_as(&self.cx(who).await, &op, input).await
    }

    /// Each step: who calls what with what, and what the answer holds; text is the error's beginning.
    async fn check(&self, steps: Vec<(&str, &str, Value, Value)>) {
        for (who, op, input, expected) in steps {
            let answer = self.call(who, op, input.clone()).await;
            match (expected.as_str(), answer) {
                (Some(words), Err(fault)) => {
                    assert!(
                        fault.to_string().starts_with(words),
                        "{who} {op} {input}:\n{fault}\nnot\n{words}"
                    );
                }
                (None, Ok(answer)) => {
                    assert!(
                        holds(&answer, &expected),
                        "{who} {op} {input}:\n{answer:#}\nholds not\n{expected:#}"
                    );
                }
                (_, answer) => panic!("{who} {op} {input}: {answer:?}, not {expected}"),
            }
        }
    }
}

/// Whether the answer has all that is expected: of objects the members, of lists the items one by one.
fn holds(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => expected.iter().all(|(name, value)| {
            answer.get(name).is_some_and(|found| holds(found, value))
                || value.is_null() && !answer.contains_key(name)
        }),
        (Value::Array(answer), Value::Array(expected)) => {
            answer.len() == expected.len() && answer.iter().zip(expected).all(|(a, b)| holds(a, b))
        }
        _ => answer == expected,
    }
}

fn allow(action: &str, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}).to_string()
}

fn trust(principal: Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn tasks() -> String {
    trust(json!({"Service": "ecs-tasks.amazonaws.com"}))
}

fn iam_arn(resource: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{resource}")
}
