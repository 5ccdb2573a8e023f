//! Named groups of connections: the members of each group, and the groups of each connection, both found without a
//! search. Topics are such groups, and so are users. Knows nothing of sockets, limits or callbacks.

use crate::fd::Fd;
use slab::Slab;
use std::collections::HashMap;
use std::rc::Rc;

/// With at least so many groups, a connection finds one of its own by hash instead of looking through them.
const SEARCHED_MAX: usize = 32;
/// Memory below this size is kept when it has become empty.
const KEPT_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Groups {
    ids: HashMap<Rc<str>, u32>,
    groups: Slab<Group>,
    /// By the fd's index: the key of its seat plus 1, or 0 if it is in no group, which is all that such a connection
    /// costs.
    keys: Vec<u32>,
    seats: Slab<Seat>,
    memberships: usize,
}

#[derive(Debug)]
struct Group {
    name: Rc<str>,
    members: Vec<Member>,
    /// How often it was held, to stay even without members.
    pins: u32,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// The index of its fd: the member's place in the table of connections.
    index: u32,
    /// The position of this membership in its seat's links.
    link: u32,
}

/// A connection that is in a group.
#[derive(Debug)]
struct Seat {
    fd: Fd,
    links: Vec<GroupLink>,
    /// The position of each group in `links`, once they are many.
    #[expect(
        clippy::box_collection,
        reason = "most have none, and a map itself is six times as large as a pointer"
    )]
    by_group: Option<Box<HashMap<u32, u32>>>,
}

#[derive(Clone, Copy, Debug)]
struct GroupLink {
    group: u32,
    /// The position of this membership in the group's members.
    member: u32,
}

impl Groups {
    /// Groups that have members or are held.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn memberships(&self) -> usize {
        self.memberships
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The group of this name, made if there is none. A new one is empty and must get a member.
    pub(crate) fn find_or_add(&mut self, name: &str) -> u32 {
        if let Some(group) = self.find(name) {
            return group;
        }
        let name: Rc<str> = name.into();
        let group = self.groups.insert(Group { name: name.clone(), members: Vec::new(), pins: 0 }) as u32;
        self.ids.insert(name, group);
        group
    }

    /// Whether there is a group with this number.
    pub(crate) fn has(&self, group: u32) -> bool {
        self.groups.contains(group as usize)
    }

    pub(crate) fn name(&self, group: u32) -> &Rc<str> {
        &self.groups[group as usize].name
    }

    /// How many members a group has.
    pub(crate) fn count(&self, group: u32) -> usize {
        self.groups[group as usize].members.len()
    }

    /// The members' indices in the table of connections, in no order.
    pub(crate) fn indices(&self, group: u32) -> impl Iterator<Item = u32> {
        self.groups[group as usize].members.iter().map(|member| member.index)
    }

    pub(crate) fn members(&self, group: u32) -> impl Iterator<Item = Fd> {
        self.indices(group).map(|index| self.seats[self.key(index).expect("a member has a seat")].fd)
    }

    /// The groups that have members, from this number on, each with its number, its name and its count of members.
    pub(crate) fn occupied(&self, start: u32) -> impl Iterator<Item = (u32, &Rc<str>, usize)> {
        // A slab has nothing beyond its keys, and its capacity bounds them.
        (start..self.groups.capacity() as u32).filter_map(|id| {
            let group = self.groups.get(id as usize)?;
            (!group.members.is_empty()).then_some((id, &group.name, group.members.len()))
        })
    }

    /// How many groups a connection is in.
    pub(crate) fn count_of(&self, fd: Fd) -> usize {
        self.seat(fd).map_or(0, |seat| seat.links.len())
    }

    /// One of the groups that a connection is in, by position. Positions are stable while it joins and leaves none.
    pub(crate) fn nth_of(&self, fd: Fd, number: usize) -> Option<u32> {
        Some(self.seat(fd)?.links.get(number)?.group)
    }

    pub(crate) fn groups_of(&self, fd: Fd) -> impl Iterator<Item = u32> {
        self.seat(fd).into_iter().flat_map(|seat| &seat.links).map(|link| link.group)
    }

    pub(crate) fn contains(&self, fd: Fd, group: u32) -> bool {
        self.seat(fd).is_some_and(|seat| seat.find(group).is_some())
    }

    /// Puts a connection into a group that it must not be in. Returns how many members it has now.
    pub(crate) fn add(&mut self, fd: Fd, group: u32) -> usize {
        debug_assert!(!self.contains(fd, group), "{fd} is in it already");
        let member = self.count(group) as u32;
        let seat = self.seat_mut(fd);
        let link = seat.links.len() as u32;
        seat.push(GroupLink { group, member });
        self.groups[group as usize].members.push(Member { index: fd.index(), link });
        self.memberships += 1;
        member as usize + 1
    }

    /// Takes a connection out of a group. Returns how many members are left; `None` if it was not in it. A group
    /// without members and pins is removed.
    pub(crate) fn remove(&mut self, fd: Fd, group: u32) -> Option<usize> {
        let key = self.key(fd.index())?;
        let seat = self.seats.get_mut(key).filter(|seat| seat.fd == fd)?;
        let link = seat.find(group)?;
        let member = seat.swap_remove(link);
        let moved = seat.links.get(link).copied();
        if seat.links.is_empty() {
            self.seats.remove(key);
            self.keys[fd.index() as usize] = 0;
        }
        if let Some(moved) = moved {
            self.groups[moved.group as usize].members[moved.member as usize].link = link as u32;
        }
        let members = &mut self.groups[group as usize].members;
        members.swap_remove(member as usize);
        let count = members.len();
        if members.capacity() > KEPT_MAX && count * 4 < members.capacity() {
            members.shrink_to(count * 2);
        }
        if let Some(moved) = members.get(member as usize).copied() {
            let key = self.key(moved.index).expect("a member has a seat");
            self.seats[key].links[moved.link as usize].member = member;
        }
        self.memberships -= 1;
        self.forget_unused(group);
        Some(count)
    }

    /// Keeps a group, with or without members, until it is released as often as it was held.
    pub(crate) fn pin(&mut self, group: u32) {
        self.groups[group as usize].pins += 1;
    }

    pub(crate) fn unpin(&mut self, group: u32) {
        self.groups[group as usize].pins -= 1;
        self.forget_unused(group);
    }

    fn forget_unused(&mut self, group: u32) {
        let Group { name, members, pins } = &self.groups[group as usize];
        if !members.is_empty() || *pins > 0 {
            return;
        }
        self.ids.remove(name);
        self.groups.remove(group as usize);
        // After a burst its memory is released.
        if self.groups.is_empty() && self.groups.capacity().max(self.keys.len()) > KEPT_MAX {
            *self = Groups::default();
        }
    }

    fn key(&self, index: u32) -> Option<usize> {
        (*self.keys.get(index as usize)? as usize).checked_sub(1)
    }

    fn seat(&self, fd: Fd) -> Option<&Seat> {
        self.seats.get(self.key(fd.index())?).filter(|seat| seat.fd == fd)
    }

    /// The connection's seat, made if it has none.
    fn seat_mut(&mut self, fd: Fd) -> &mut Seat {
        let index = fd.index() as usize;
        if index >= self.keys.len() {
            self.keys.resize(index + 1, 0);
        }
        if self.keys[index] == 0 {
            // Most connections are in few groups: room for one, not for the four that a vector begins with.
            let links = Vec::with_capacity(1);
            self.keys[index] = self.seats.insert(Seat { fd, links, by_group: None }) as u32 + 1;
        }
        let seat = &mut self.seats[self.keys[index] as usize - 1];
        debug_assert_eq!(seat.fd, fd, "whoever had the slot before has left");
        seat
    }
}

impl Seat {
    fn find(&self, group: u32) -> Option<usize> {
        match &self.by_group {
            Some(by_group) => by_group.get(&group).map(|link| *link as usize),
            None => self.links.iter().position(|link| link.group == group),
        }
    }

    fn push(&mut self, link: GroupLink) {
        self.links.push(link);
        if let Some(by_group) = &mut self.by_group {
            by_group.insert(link.group, self.links.len() as u32 - 1);
        } else if self.links.len() > SEARCHED_MAX {
            let by_group = self.links.iter().zip(0..).map(|(link, number)| (link.group, number));
            self.by_group = Some(Box::new(by_group.collect()));
        }
    }

    /// Takes a link out, and the last one takes its place. Returns where in its group the membership was.
    fn swap_remove(&mut self, link: usize) -> u32 {
        let removed = self.links.swap_remove(link);
        if let Some(by_group) = &mut self.by_group {
            by_group.remove(&removed.group);
            if let Some(moved) = self.links.get(link) {
                by_group.insert(moved.group, link as u32);
            }
        }
        removed.member
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Random;
    use std::collections::{HashMap, HashSet};

    /// Does what `Groups` does, by searching.
    #[derive(Default)]
    struct Model {
        members: HashMap<String, HashSet<Fd>>,
        pins: HashMap<String, usize>,
    }

    impl Model {
        fn groups_of(&self, fd: Fd) -> HashSet<&str> {
            let of = self.members.iter().filter(|(_, members)| members.contains(&fd));
            of.map(|(name, _)| &**name).collect()
        }

        fn check(&self, groups: &Groups, fds: &[Fd]) {
            let names: HashSet<&String> = self.members.keys().chain(self.pins.keys()).collect();
            assert_eq!(groups.len(), names.len());
            assert_eq!(groups.memberships(), self.members.values().map(HashSet::len).sum::<usize>());
            for name in names {
                let group = groups.find(name).expect("it is in the model");
                let none = HashSet::new();
                let expected = self.members.get(name).unwrap_or(&none);
                assert_eq!(**groups.name(group), **name);
                assert_eq!(groups.count(group), expected.len());
                assert_eq!(groups.members(group).collect::<HashSet<_>>(), *expected);
                let indices: HashSet<u32> = expected.iter().map(|fd| fd.index()).collect();
                assert_eq!(groups.indices(group).collect::<HashSet<_>>(), indices);
            }
            for fd in fds {
                let of: HashSet<&str> = groups.groups_of(*fd).map(|group| &**groups.name(group)).collect();
                assert_eq!(of, self.groups_of(*fd), "{fd}");
                assert_eq!(groups.count_of(*fd), of.len());
            }
            let occupied: Vec<(String, usize)> =
                groups.occupied(0).map(|(_, name, count)| (name.to_string(), count)).collect();
            assert_eq!(occupied.len(), self.members.len());
            assert!(occupied.iter().all(|(name, count)| self.members[name].len() == *count));
        }
    }

    /// Random joins, leaves, closes with a new connection in the slot, pins and unpins.
    fn run(seed: u64, connections: u32, names: u64, steps: usize) {
        let mut random = Random::new(seed);
        let (mut groups, mut model) = (Groups::default(), Model::default());
        let mut fds: Vec<Fd> = (1..=connections).map(|index| Fd::new(0, 0, index)).collect();
        for step in 0..steps {
            let slot = random.below(u64::from(connections)) as usize;
            let (fd, name) = (fds[slot], format!("group {}", random.below(names)));
            match random.below(100) {
                0..55 => {
                    let group = groups.find_or_add(&name);
                    let members = model.members.entry(name).or_default();
                    assert_eq!(groups.contains(fd, group), !members.insert(fd));
                    if !groups.contains(fd, group) {
                        assert_eq!(groups.add(fd, group), members.len());
                    }
                }
                55..90 => {
                    let removed = groups.find(&name).and_then(|group| groups.remove(fd, group));
                    let left = model
                        .members
                        .get_mut(&name)
                        .and_then(|members| members.remove(&fd).then_some(members.len()));
                    assert_eq!(removed, left);
                }
                90..94 => {
                    let expected = model.groups_of(fd).len();
                    for left in (0..expected).rev() {
                        let group = groups.nth_of(fd, left).expect("counted");
                        groups.remove(fd, group).expect("it is in it");
                    }
                    model.members.values_mut().for_each(|members| {
                        members.remove(&fd);
                    });
                    assert_eq!((groups.count_of(fd), groups.nth_of(fd, 0)), (0, None));
                    fds[slot] = Fd::new(fd.generation() + 1, 0, fd.index());
                    assert_eq!(groups.count_of(fds[slot]), 0);
                }
                94..97 => {
                    if let Some(group) = groups.find(&name) {
                        groups.pin(group);
                        *model.pins.entry(name).or_default() += 1;
                    }
                }
                _ => {
                    if let Some(pins) = model.pins.get_mut(&name) {
                        *pins -= 1;
                        groups.unpin(groups.find(&name).expect("held"));
                    }
                }
            }
            model.members.retain(|_, members| !members.is_empty());
            model.pins.retain(|_, pins| *pins > 0);
            if step % 50 == 0 {
                model.check(&groups, &fds);
            }
        }
        model.check(&groups, &fds);
    }

    #[test]
    fn groups_are_as_a_naive_model_has_them() {
        for seed in 0..100 {
            run(seed, 12, 8, 500);
        }
    }

    /// With more groups per connection than are searched.
    #[test]
    fn groups_are_as_a_naive_model_has_them_where_a_connection_is_in_many() {
        for seed in 0..10 {
            run(seed, 3, 3 * SEARCHED_MAX as u64, 3_000);
        }
    }

    #[test]
    fn an_earlier_connection_of_the_slot_is_not_a_member() {
        let mut groups = Groups::default();
        let (early, late) = (Fd::new(0, 0, 5), Fd::new(1, 0, 5));
        let group = groups.find_or_add("a");
        assert_eq!(groups.add(late, group), 1);
        assert!(!groups.contains(early, group));
        assert_eq!((groups.count_of(early), groups.remove(early, group)), (0, None));
        assert_eq!(groups.members(group).collect::<Vec<_>>(), [late]);
    }

    #[test]
    fn what_a_rush_took_is_given_back() {
        let mut groups = Groups::default();
        let fds: Vec<Fd> = (1..=5_000).map(|index| Fd::new(0, 0, index)).collect();
        for fd in &fds {
            let (own, common) = (groups.find_or_add(&fd.to_string()), groups.find_or_add("all"));
            groups.add(*fd, own);
            groups.add(*fd, common);
        }
        assert_eq!((groups.len(), groups.memberships()), (5_001, 10_000));
        for fd in &fds {
            let (own, common) = (groups.find(&fd.to_string()), groups.find("all"));
            assert_eq!(groups.remove(*fd, own.expect("in it")), Some(0));
            groups.remove(*fd, common.expect("in it")).expect("in it");
            let capacity = groups.find("all").map_or(0, |all| groups.groups[all as usize].members.capacity());
            let count = groups.find("all").map_or(0, |all| groups.count(all));
            assert!(capacity <= KEPT_MAX || capacity <= 4 * count, "{capacity} for {count}");
        }
        assert_eq!((groups.len(), groups.memberships()), (0, 0));
        assert_eq!((groups.groups.capacity(), groups.keys.capacity(), groups.seats.capacity()), (0, 0, 0));
    }
}
