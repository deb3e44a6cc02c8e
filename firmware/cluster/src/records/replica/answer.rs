//! What members ask of this node's copy.

use super::{Replica, held, mark_key};
use crate::{
    clock::Millis,
    keys::NodeId,
    records::{
        exchange::{self, Answer, Ask, MAX_BODIES_BYTES, MAX_MARKS},
        head::{Head, Order},
        record::{self, Mark, Record},
    },
    store::{Store, StoreError, Table},
};
use std::{collections::BTreeSet, ops::ControlFlow};

impl<S: Store> Replica<S> {
    /// Answers a member's question with one frame.
    pub fn answer(&mut self, now: Millis, from: NodeId, frame: &[u8]) -> Vec<u8> {
        let answer = if !self.view.members().contains(&from) {
            self.refused.strangers += 1;
            Answer::Unknown
        } else {
            match exchange::read_ask(frame) {
                Ok(ask) => self.answer_ask(now, from, ask),
                Err(_) => {
                    self.refused.malformed += 1;
                    Answer::Unknown
                }
            }
        };
        exchange::frame(&answer)
    }

    fn answer_ask(&mut self, now: Millis, from: NodeId, ask: Ask) -> Answer {
        match ask {
            Ask::Compare { root } => {
                self.holders.hear(&root, &[], self.view.members(), &from);
                if root == self.view.root() {
                    return Answer::Same;
                }
                Answer::Marks { marks: self.view.marks().iter().take(MAX_MARKS).copied().collect() }
            }
            Ask::Exchange { give, want } => {
                for statement in give {
                    self.take(now, from, statement);
                }
                let want: BTreeSet<_> = want.into_iter().collect();
                let statements = self.statements(|mark| want.contains(mark));
                self.fetch_due(now);
                Answer::Statements(statements)
            }
            Ask::Since { node, since } => match self.view.head(&node).cloned() {
                None => Answer::Unknown,
                Some(head) => self.set_since(&head, since).unwrap_or(Answer::Busy),
            },
            Ask::Bodies { node, marks } => {
                if held(&self.view, &node).is_none() {
                    return Answer::Unknown;
                }
                self.bodies(&node, &marks).map_or(Answer::Busy, Answer::Bodies)
            }
        }
    }

    fn set_since(&self, head: &Head, since: Option<Order>) -> Result<Answer, StoreError> {
        let node = head.node();
        let marks = self.marks_of(&node)?;
        let mut bodies = Vec::new();
        let mut room = MAX_BODIES_BYTES;
        self.store.scan(Table::Records, &node.0, &mut |_, value| {
            let new = Record::from_bytes(value).is_ok_and(|record| since.is_none_or(|since| record.written > since));
            if new {
                match room.checked_sub(value.len()) {
                    Some(left) => room = left,
                    None => return ControlFlow::Break(()),
                }
                bodies.push(value.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(Answer::Set { head: Box::new(head.clone()), marks, bodies })
    }

    fn bodies(&self, node: &NodeId, marks: &[Mark]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut bodies = Vec::new();
        let mut room = MAX_BODIES_BYTES;
        for mark in marks {
            let Some(body) = self.body(node, mark)? else { continue };
            match room.checked_sub(body.len()) {
                Some(left) => room = left,
                None => break,
            }
            bodies.push(body);
        }
        Ok(bodies)
    }

    /// The marks of what is stored of a node, ascending.
    pub(super) fn marks_of(&self, node: &NodeId) -> Result<Vec<Mark>, StoreError> {
        let mut marks = Vec::new();
        self.store.scan(Table::Marks, &node.0, &mut |key, _| {
            if let Some(mark) = key.get(32..).and_then(|mark| Mark::try_from(mark).ok()) {
                marks.push(mark);
            }
            ControlFlow::Continue(())
        })?;
        Ok(marks)
    }

    /// A stored record by its mark; none if it is not here, or not what it was.
    pub(super) fn body(&self, node: &NodeId, mark: &Mark) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(key) = self.store.get(Table::Marks, &mark_key(node, mark))? else {
            return Ok(None);
        };
        let body = self.store.get(Table::Records, &key)?;
        Ok(body.filter(|body| record::mark(node, body) == *mark))
    }
}
