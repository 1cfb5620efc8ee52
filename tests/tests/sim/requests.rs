//! What the operator asks for next, drawn from the seed.

use windflow_model::{
    RolloutPlan,
    rollout::{Amount, OnFailure, Pause},
};

use crate::{
    operator::{Request, compose},
    run::World,
};

/// The stack of the rollouts.
pub(crate) const WAVES: &str = "waves";
/// So many images of the list come first and can be healthy.
const HEALTHY: u64 = 4;

impl World<'_> {
    pub(crate) fn request(&self) -> Request {
        let pick = |list: &[String]| {
            list[usize::try_from(self.random.up_to(list.len() as u64 - 1)).unwrap()].clone()
        };
        let stacks = self.stacks();
        let seldom = self.random.up_to(7) == 0;
        let stack = pick(if seldom {
            &stacks
        } else {
            &stacks[..self.shape.stacks]
        });
        let mut hosts: Vec<String> = self.machines[1..]
            .iter()
            .map(|machine| machine.name.clone())
            .filter(|_| self.random.up_to(2) > 0)
            .collect();
        if hosts.is_empty() {
            hosts.push(self.machines[1].name.clone());
        }
        match self.random.up_to(11) {
            10 if self.requests > 0 => Request::Cancel {
                number: self.requests - self.random.up_to(2).min(self.requests - 1),
            },
            0 => Request::Remove { stack, hosts },
            1 => Request::Rollback {
                stack,
                back: self.random.up_to(3),
            },
            2 | 3 => Request::Rollout {
                stack: if seldom { stack } else { WAVES.to_owned() },
                compose: self.services(self.random.up_to(2) > 0),
                plan: self.rollout_plan(),
            },
            _ => Request::Deploy {
                stack,
                compose: self.services(false),
                hosts,
                again: self.random.up_to(3) == 0,
            },
        }
    }

    /// Waves of one host or two, short gates, and every way to go on or not.
    fn rollout_plan(&self) -> RolloutPlan {
        let number = |most| u32::try_from(self.random.up_to(most)).unwrap();
        RolloutPlan {
            canary: None,
            wave: Amount::Count(1 + number(1)),
            pause: match number(3) {
                0 => Pause::Manual,
                1 => Pause::Time { seconds: 1 },
                _ => Pause::default(),
            },
            gate_s: number(2),
            deadline_s: 15,
            max_failures: Amount::Count(number(1)),
            on_failure: match number(1) {
                0 => OnFailure::Stop,
                _ => OnFailure::Rollback,
            },
        }
    }

    /// A Compose file of one service to three, most of which can be healthy, or all.
    fn services(&self, healthy: bool) -> String {
        let images = [
            "nginx:1",
            "nginx:1",
            "nginx:2",
            "nginx:3",
            "fake/unstartable",
            "fake/unhealthy",
        ];
        let mut services = Vec::new();
        for service in ["web", "db", "cache"] {
            if service == "web" || self.random.up_to(1) == 0 {
                let most = if healthy { HEALTHY } else { images.len() as u64 };
                let image = images[usize::try_from(self.random.up_to(most - 1)).unwrap()];
                services.push((service.to_owned(), image.to_owned()));
            }
        }
        compose(&services)
    }
}
