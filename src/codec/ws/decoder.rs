//! Turns a peer's bytes into messages and control events, one step per call. Unmasks in place and returns ranges of the
//! caller's buffer. Allocates memory only for incomplete frames and messages, and only as bytes arrive, never by a
//! declared length.

use super::header::{self, CONTROL_MAX, Header, MASKED_MAX};
use super::{Opcode, ProtocolError, Role, close, mask, utf8};
use crate::codec::arrival::Arrival;
use std::ops::Range;

/// The limits on what one connection may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLimits {
    /// Which end this side is. It decides whether the input must be masked.
    pub(crate) role: Role,
    pub(crate) message_bytes_max: usize,
    pub(crate) fragments_max: u32,
    /// How many more bytes of memory the decoder may take.
    pub(crate) room: usize,
    /// Incomplete messages are returned in parts as they arrive, instead of being collected.
    pub(crate) in_parts: bool,
}

/// Where an event's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// In the input of the step that returned the event.
    Input(Range<usize>),
    /// Collected from several reads or fragments.
    Owned(Vec<u8>),
}

impl Payload {
    /// The bytes. `input` must be the input of the same step.
    pub(crate) fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Payload::Input(range) => &input[range.clone()],
            Payload::Owned(bytes) => bytes,
        }
    }
}

/// What a step found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A complete message: `Text` (already checked to be UTF-8) or `Binary`.
    Message(Opcode, Payload),
    /// A part of a message of this kind, if [`MessageLimits::in_parts`] is set.
    Part(Opcode, Part),
    Ping(Payload),
    Pong(Payload),
    /// The code is 1005 if the frame had none.
    Close(u16, Box<str>),
}

/// A part of a message. The parts of a text are UTF-8 only together: a cut may be inside a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where it is in the input of the step.
    pub(crate) range: Range<usize>,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// The state of one direction of a WebSocket. Between messages it owns no memory.
///
/// Do not use it any more after an error or a close event.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: Option<Box<PartialMessage>>,
}

/// The state of an incomplete frame or message.
#[derive(Debug, Default)]
struct PartialMessage {
    /// The bytes so far of an incomplete header.
    header: [u8; MASKED_MAX],
    header_len: u8,
    /// The frame whose payload is arriving. Its mask is rotated to the next byte, and its length is what is still
    /// missing.
    frame: Option<Header>,
    /// The kind of the message whose fragments are arriving; `None` if only a control frame or a header is incomplete.
    opcode: Option<Opcode>,
    fragments: u32,
    /// Number of frames that began since this was last taken.
    frames: u32,
    /// Number of bytes of the message so far.
    taken: usize,
    /// A part of the message was returned already.
    is_given: bool,
    message: Vec<u8>,
    utf8: utf8::Validator,
    /// The payload so far of a control frame. It has its own buffer, because it may come between fragments of a
    /// message.
    control: Vec<u8>,
    arrival: Arrival,
}

/// Unused memory for incomplete frames and messages, shared by all decoders: an idle decoder owns none, and a busy one
/// does not need the allocator for each message.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    #[expect(clippy::vec_box, reason = "decoders hold boxes, so that an idle one costs a pointer")]
    partials: Vec<Box<PartialMessage>>,
    buffers: Vec<Vec<u8>>,
    /// Capacity of all buffers together.
    bytes: usize,
    /// Number of frames whose header the last [`Decoder::piece`] completed.
    pub(crate) frames: u32,
}

/// Memory of an incomplete message in addition to its payload.
const PARTIAL_BYTES: usize = size_of::<PartialMessage>() + CONTROL_MAX + ALLOCATIONS_BYTES;
/// The allocator's overhead for its three allocations, and rounding of the control frame's buffer.
const ALLOCATIONS_BYTES: usize = 128;

/// A piece of this size is unmasked, checked and copied before the next one, so that it stays in the processor's first
/// cache. This makes a message of 1 MiB a sixth faster.
const STRIDE: usize = 16 << 10;

/// Limits on the unused memory: number of items of each kind, and bytes of all buffers. The rest is freed.
const SPARES_MAX: usize = 16;
const SPARE_BYTES_MAX: usize = 4 << 20;

impl Spare {
    /// The most memory that it keeps.
    pub(crate) const BYTES_MAX: usize = SPARE_BYTES_MAX + SPARES_MAX * PARTIAL_BYTES;

    /// `None` if there is not enough room.
    fn take_partial(&mut self, limits: &MessageLimits) -> Option<Box<PartialMessage>> {
        let room = limits.room.checked_sub(PARTIAL_BYTES)?;
        let mut partial = self.partials.pop().unwrap_or_default();
        if !limits.in_parts && self.buffers.last().is_some_and(|buffer| buffer.capacity() <= room) {
            partial.message = self.buffers.pop().expect("just seen");
            self.bytes -= partial.message.capacity();
        }
        Some(partial)
    }

    /// An idle one is clean, except for the fields that are reset here.
    fn put_partial(&mut self, mut partial: Box<PartialMessage>) {
        self.put(std::mem::take(&mut partial.message));
        if self.partials.len() < SPARES_MAX {
            (partial.utf8, partial.fragments) = (utf8::Validator::default(), 0);
            (partial.taken, partial.is_given) = (0, false);
            self.partials.push(partial);
        }
    }

    /// Takes back the bytes of a message that is not needed any more.
    pub(crate) fn put(&mut self, mut bytes: Vec<u8>) {
        let fits = bytes.capacity() <= SPARE_BYTES_MAX - self.bytes && self.buffers.len() < SPARES_MAX;
        if fits && bytes.capacity() > 0 {
            bytes.clear();
            self.bytes += bytes.capacity();
            self.buffers.push(bytes);
        }
    }
}

impl Decoder {
    /// The memory that the decoder owns.
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| PARTIAL_BYTES + partial.message.capacity())
    }

    /// Whether it is in the middle of a message or frame.
    pub(crate) fn is_inside(&self) -> bool {
        self.partial.is_some()
    }

    /// What is incomplete and held: how much of it has come, and how it comes on. Not what was returned in parts, which
    /// takes no memory, however long it lasts.
    pub(crate) fn arriving(&mut self) -> Option<(usize, &mut Arrival)> {
        let partial = self.partial.as_mut().filter(|partial| !partial.is_given)?;
        let len = partial.taken + partial.control.len() + usize::from(partial.header_len);
        Some((len, &mut partial.arrival))
    }

    /// The common case: the input begins with a complete frame, and no message is incomplete. Returns the frame's
    /// length and its event. `None` means that this is not the case: use [`Decoder::piece`].
    #[inline(always)]
    pub(crate) fn whole(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
    ) -> Result<Option<(usize, Event)>, ProtocolError> {
        if self.partial.is_some() { Ok(None) } else { whole_frame(input, limits) }
    }

    /// Consumes bytes from the start of `input`, up to the next event. Returns their number and the event; without an
    /// event the whole input is consumed. Limits are checked before bytes are kept.
    pub(crate) fn piece(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
        spare: &mut Spare,
    ) -> Result<(usize, Option<Event>), ProtocolError> {
        let mut room = limits.room;
        let partial = match &mut self.partial {
            Some(partial) => partial,
            none => {
                let partial = spare.take_partial(limits).ok_or(ProtocolError::NoRoom)?;
                room -= PARTIAL_BYTES + partial.message.capacity();
                none.insert(partial)
            }
        };
        // From here on `room` is what the message may take in total.
        let limits = &MessageLimits { room: room.saturating_add(partial.message.capacity()), ..*limits };
        let (used, event) = partial.step(input, limits)?;
        spare.frames = std::mem::take(&mut partial.frames);
        if partial.is_idle() {
            spare.put_partial(self.partial.take().expect("just used"));
        }
        Ok((used, event))
    }

    /// [`Decoder::whole`], then [`Decoder::piece`] if necessary.
    #[cfg(test)]
    pub(crate) fn step(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
        spare: &mut Spare,
    ) -> Result<(usize, Option<Event>), ProtocolError> {
        match self.whole(input, limits)? {
            Some((used, event)) => Ok((used, Some(event))),
            None if input.is_empty() => Ok((0, None)),
            None => self.piece(input, limits, spare),
        }
    }
}

/// The common case, a complete unfragmented frame in the input: nothing is copied or kept. Always inlined: what it
/// returns is large, and its caller looks at once at what it is.
#[inline(always)]
fn whole_frame(input: &mut [u8], limits: &MessageLimits) -> Result<Option<(usize, Event)>, ProtocolError> {
    let Some((header, start)) = header::parse(input, limits.role)? else { return Ok(None) };
    match header.opcode {
        Opcode::Continuation => return Err(ProtocolError::UnexpectedContinuation),
        Opcode::Text | Opcode::Binary if header.len > limits.message_bytes_max as u64 => {
            return Err(ProtocolError::MessageTooBig);
        }
        _ => {}
    }
    if !header.fin || header.len > (input.len() - start) as u64 {
        return Ok(None);
    }
    let end = start + header.len as usize;
    mask::apply(&mut input[start..end], header.mask);
    let payload = Payload::Input(start..end);
    let event = match header.opcode {
        Opcode::Text => {
            utf8::check(&input[start..end]).map_err(|_| ProtocolError::InvalidUtf8)?;
            Event::Message(Opcode::Text, payload)
        }
        Opcode::Binary => Event::Message(Opcode::Binary, payload),
        control => control_event(control, payload, input)?,
    };
    Ok(Some((end, event)))
}

fn control_event(opcode: Opcode, payload: Payload, input: &[u8]) -> Result<Event, ProtocolError> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        _ => {
            let (code, reason) = close::parse(payload.bytes(input))?;
            Ok(Event::Close(code, reason.into()))
        }
    }
}

impl PartialMessage {
    fn is_idle(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.opcode.is_none()
    }

    fn step(
        &mut self,
        input: &mut [u8],
        limits: &MessageLimits,
    ) -> Result<(usize, Option<Event>), ProtocolError> {
        let mut used = 0;
        let stride = if limits.in_parts { usize::MAX } else { STRIDE };
        loop {
            if self.frame.is_none() {
                used += self.take_header(&input[used..], limits)?;
            }
            let Some(frame) = &mut self.frame else { return Ok((used, None)) };
            let end = used + frame.len.min((input.len() - used).min(stride) as u64) as usize;
            mask::apply(&mut input[used..end], frame.mask);
            frame.mask = mask::rotate(frame.mask, end - used);
            frame.len -= (end - used) as u64;
            let (frame, piece) = (*frame, used..end);
            used = end;
            let event = if frame.opcode.is_control() {
                self.take_control(&frame, input, piece)?
            } else {
                self.take_data(&frame, input, piece, limits)?
            };
            if frame.len == 0 {
                self.frame = None;
            }
            if event.is_some() || frame.len > 0 && used == input.len() {
                return Ok((used, event));
            }
        }
    }

    /// Collects bytes until the header is complete, then checks and opens the frame.
    fn take_header(&mut self, input: &[u8], limits: &MessageLimits) -> Result<usize, ProtocolError> {
        let held = usize::from(self.header_len);
        let fits = input.len().min(MASKED_MAX - held);
        self.header[held..held + fits].copy_from_slice(&input[..fits]);
        match header::parse(&self.header[..held + fits], limits.role)? {
            Some((frame, len)) => {
                self.open(&frame, limits)?;
                self.frames += 1;
                self.frame = Some(frame);
                self.header_len = 0;
                Ok(len - held)
            }
            None => {
                self.header_len = (held + fits) as u8;
                Ok(fits)
            }
        }
    }

    /// Checks a frame by its header, before any byte of its payload is kept.
    fn open(&mut self, frame: &Header, limits: &MessageLimits) -> Result<(), ProtocolError> {
        if frame.opcode.is_control() {
            return Ok(());
        }
        match (frame.opcode == Opcode::Continuation, self.opcode) {
            (true, Some(_)) => {}
            (true, None) => return Err(ProtocolError::UnexpectedContinuation),
            (false, Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (false, None) => self.opcode = Some(frame.opcode),
        }
        self.fragments += 1;
        if self.fragments > limits.fragments_max {
            return Err(ProtocolError::TooManyFragments);
        }
        if frame.len > limits.message_bytes_max.saturating_sub(self.taken) as u64 {
            return Err(ProtocolError::MessageTooBig);
        }
        Ok(())
    }

    fn take_control(
        &mut self,
        frame: &Header,
        input: &[u8],
        piece: Range<usize>,
    ) -> Result<Option<Event>, ProtocolError> {
        if frame.len == 0 && self.control.is_empty() {
            return control_event(frame.opcode, Payload::Input(piece), input).map(Some);
        }
        self.control.extend_from_slice(&input[piece]);
        debug_assert!(self.control.len() <= CONTROL_MAX);
        if frame.len > 0 {
            return Ok(None);
        }
        let payload = Payload::Owned(std::mem::take(&mut self.control));
        control_event(frame.opcode, payload, input).map(Some)
    }

    fn take_data(
        &mut self,
        frame: &Header,
        input: &[u8],
        piece: Range<usize>,
        limits: &MessageLimits,
    ) -> Result<Option<Event>, ProtocolError> {
        let opcode = self.opcode.expect("a data frame was opened");
        let is_last = frame.len == 0 && frame.fin;
        self.taken += piece.len();
        if opcode == Opcode::Text {
            self.utf8.push(&input[piece.clone()]).map_err(|_| ProtocolError::InvalidUtf8)?;
            if is_last {
                self.utf8.finish().map_err(|_| ProtocolError::InvalidUtf8)?;
            }
        }
        if is_last {
            // Without an opcode this counts as idle, and is returned to the spares.
            self.opcode = None;
        }
        // If the setting changes in the middle of a message, the message goes on as it began.
        if self.is_given || limits.in_parts && self.message.is_empty() {
            if piece.is_empty() && !is_last {
                return Ok(None);
            }
            let is_first = !std::mem::replace(&mut self.is_given, true);
            return Ok(Some(Event::Part(opcode, Part { range: piece, is_first, is_last })));
        }
        grow(&mut self.message, piece.len(), limits)?;
        self.message.extend_from_slice(&input[piece]);
        let message = |bytes| Event::Message(opcode, Payload::Owned(bytes));
        Ok(is_last.then(|| message(std::mem::take(&mut self.message))))
    }
}

/// Makes room for `more` bytes. Doubles the capacity, so that a message in many pieces is not copied for each piece,
/// but not beyond the largest message, and taking only a small part of the remaining room ahead of need.
fn grow(message: &mut Vec<u8>, more: usize, limits: &MessageLimits) -> Result<(), ProtocolError> {
    let (needed, capacity) = (message.len() + more, message.capacity());
    if needed <= capacity {
        return Ok(());
    }
    let spare = limits.room.checked_sub(needed).ok_or(ProtocolError::NoRoom)?;
    let ahead = needed.saturating_add(spare / 8).min(limits.message_bytes_max);
    message.reserve_exact((2 * capacity).min(ahead).max(needed) - message.len());
    Ok(())
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
