//! What must hold of every step, whatever the hands do.

use super::*;

impl World {
    pub(super) fn take(&mut self, step: Step) {
        let Step { record, audit, effects, replies, in_force, wake_at } = step;
        if let Some(record) = record {
            let is_kept = self.disk.contains(&record.digest);
            holds!(self, is_kept, "bytes are on the disk before a record names them");
            let shadow = record.shadow.as_ref().map(|shadow| shadow.digest);
            holds!(self, shadow.is_none_or(|digest| self.disk.contains(&digest)), "those of a shadow, too");
            let rows: Vec<Generation> = record.history.iter().map(|row| row.generation).collect();
            holds!(self, rows.is_sorted_by(|a, b| a < b), "the history goes up");
            holds!(self, rows.last() == Some(&record.generation), "and ends with what is active");
            self.store = Some(record);
        }
        for (request, reply) in replies {
            let open = self.open.remove(&request);
            holds!(self, open.is_some(), "a request is answered once");
            if let Ok(Reply::Prepared) = reply {
                self.prepared = Some(request);
            }
        }
        let mut activated = None;
        for effect in &effects {
            self.performed(effect, &mut activated);
        }
        holds!(self, activated == in_force, "one generation takes over at a time, and it is said");
        holds!(self, self.judges.map(|(judges, _)| judges) == self.life.in_force(), "one is in force");
        let stored = self.store.as_ref().map(|stored| stored.generation);
        holds!(self, self.life.in_force().is_none() || stored == self.life.in_force(), "it is recorded");
        for said in audit {
            if let Fact::WentBack { bad, .. } = said.fact {
                self.went_back += 1;
                holds!(self, !self.forced.contains(&bad.generation), "what was forced is not taken back");
            }
        }
        holds!(self, wake_at.is_none_or(|at| at > self.now.at), "it is woken later");
        self.wake_at = wake_at;
    }

    fn performed(&mut self, effect: &Effect, activated: &mut Option<Generation>) {
        let ticket = match effect {
            Effect::Fetch(ticket, _)
            | Effect::Compile(ticket)
            | Effect::Configure(ticket, _)
            | Effect::SelfTest(ticket, _)
            | Effect::Rehearse { ticket, .. }
            | Effect::Keep(ticket)
            | Effect::BeginShadow(ticket, _)
            | Effect::Activate { ticket, .. } => Some(*ticket),
            Effect::EndShadow(_) | Effect::Cancel(_) | Effect::DropComparison(_) | Effect::Retain(_) => None,
        };
        let is_over = ticket.is_some_and(|ticket| self.hands.over.contains(&ticket));
        holds!(self, !is_over, "a job that is over is asked for nothing");
        match effect {
            Effect::Activate { ticket, generation } => {
                let digest = self.hands.holds.get(ticket).or(self.hands.orders.get(ticket)).copied();
                let Some(digest) = digest else {
                    panic!("seed {}: what takes over was fetched", self.seed);
                };
                let known = self.numbers.insert(*generation, digest);
                holds!(self, known.is_none_or(|known| known == digest), "a number is used once");
                holds!(self, activated.is_none(), "one takes over in a step");
                let is_later = self.judges.is_none_or(|(before, _)| before < *generation);
                holds!(self, is_later, "numbers rise");
                self.judges = Some((*generation, digest));
                *activated = Some(*generation);
                self.hands.beside.remove(ticket);
                self.hands.over.insert(*ticket);
                let history = self.life.report().history;
                if history.last().is_some_and(|last| last.forced == crate::record::Forced::Yes) {
                    self.forced.insert(*generation);
                }
            }
            Effect::BeginShadow(ticket, order) => {
                holds!(self, self.hands.beside.is_empty(), "one judges beside the active one");
                self.hands.beside.insert(*ticket);
                self.hands.orders.insert(*ticket, order.digest);
                self.hands.waiting.push(effect.clone());
            }
            Effect::EndShadow(ticket) => {
                self.hands.beside.remove(ticket);
            }
            Effect::Cancel(ticket) => {
                self.hands.over.insert(*ticket);
                self.hands.beside.remove(ticket);
            }
            Effect::Retain(used) => {
                let active = self.judges.map(|(_, digest)| digest);
                holds!(self, active.is_none_or(|digest| used.contains(&digest)), "what judges is kept");
                self.disk.retain(|digest| used.contains(digest));
            }
            Effect::DropComparison(_) => {}
            Effect::Fetch(..)
            | Effect::Compile(_)
            | Effect::Configure(..)
            | Effect::SelfTest(..)
            | Effect::Rehearse { .. }
            | Effect::Keep(_) => self.hands.waiting.push(effect.clone()),
        }
    }
}
