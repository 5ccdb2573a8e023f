//! Each framing whole, at every split point and byte by byte, beside a naive splitter.

use super::*;

const MAX: usize = 1 << 20;
const LIMITS: PackageLimits = PackageLimits { package_bytes_max: MAX, room: usize::MAX };

const TYPES: [LengthType; 5] =
    [LengthType::U8, LengthType::U16Be, LengthType::U16Le, LengthType::U32Be, LengthType::U32Le];

fn mark(mark: &'static [u8]) -> Framing {
    Framing::EndMark(mark.into())
}

fn length(length_type: LengthType, length_offset: u16, body_offset: u16) -> Framing {
    Framing::Length { length_type, length_offset, body_offset }
}

/// Every framing worth a look.
fn framings() -> Vec<Framing> {
    let mut framings =
        vec![mark(b"\n"), mark(b"\r\n"), mark(b"\r\n\r\n"), mark(b"aab"), mark(b"abab"), mark(b"aaaaaaaa")];
    for length_type in TYPES {
        let size = length_type.size() as u16;
        framings.extend(
            [(0, size), (0, 0), (0, 1), (2, 2 + size), (3, 0), (1, 9)]
                .map(|(a, b)| length(length_type, a, b)),
        );
    }
    framings
}

/// What a message is on the wire.
fn wire(framer: &Framer, message: &[u8]) -> Option<Vec<u8>> {
    framer.frame(message.into()).map(|package| {
        let mut run = Vec::new();
        package.append_to(&mut run);
        run
    })
}

/// What a connection tells `on_receive` of input that comes in these pieces.
fn receive<'a>(
    framer: &Framer,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &PackageLimits,
) -> Result<Vec<Vec<u8>>, PackageError> {
    let (mut packages, mut partial) = (Vec::new(), None::<PartialPackage>);
    for mut input in pieces {
        while !input.is_empty() {
            if partial.is_none()
                && let Some((used, data)) = framer.whole(input, limits)?
            {
                assert!(used > 0);
                packages.push(input[data].to_vec());
                input = &input[used..];
                continue;
            }
            let held = partial.get_or_insert_default();
            let (used, data) = held.step(framer, input, limits)?;
            input = &input[used..];
            match data {
                Some(data) => packages.push(partial.take().expect("just used").bytes()[data].to_vec()),
                None => assert!(input.is_empty(), "what is no package is used up"),
            }
        }
    }
    Ok(packages)
}

/// The first package's data and its length on the wire, byte by byte and without any cleverness.
fn naive_first(framing: &Framing, input: &[u8]) -> Option<(Vec<u8>, usize)> {
    match framing {
        Framing::None => (!input.is_empty()).then(|| (input.to_vec(), input.len())),
        Framing::EndMark(mark) => {
            let end = (0..=input.len()).find(|end| input[..*end].ends_with(mark))?;
            Some((input[..end - mark.len()].to_vec(), end))
        }
        Framing::Length { length_type, length_offset, body_offset } => {
            let (offset, size) = (usize::from(*length_offset), length_type.size());
            let mut field = input.get(offset..offset + size)?.to_vec();
            if matches!(length_type, LengthType::U16Le | LengthType::U32Le) {
                field.reverse();
            }
            let value = field.iter().fold(0, |value, byte| value * 256 + usize::from(*byte));
            let end = usize::from(*body_offset) + value;
            let is_bare = offset == 0 && usize::from(*body_offset) <= size;
            Some((input.get(if is_bare { size } else { 0 }..end)?.to_vec(), end))
        }
    }
}

fn naive(framing: &Framing, mut input: &[u8]) -> Vec<Vec<u8>> {
    let mut packages = Vec::new();
    while let Some((data, end)) = naive_first(framing, input) {
        packages.push(data);
        input = &input[end..];
    }
    packages
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| b"aab\r\n"[self.below(5)]).collect()
    }
}

#[test]
fn what_goes_out_comes_in_whatever_the_split() {
    for framing in framings() {
        let framer = Framer::new(&framing);
        let messages: Vec<&[u8]> =
            vec![b"", b"a", b"ab", b"0123456789", b"\r", b"aaa", b"aba", b"b0123456789", b"012345678x"];
        let (mut stream, mut sent) = (Vec::new(), Vec::new());
        for message in messages {
            if let Some(bytes) = wire(&framer, message) {
                stream.extend(bytes);
                // The head that it brought itself has its length now.
                let own = matches!(&framer, Framer::Length(head) if !head.is_bare);
                sent.push(if own {
                    naive(&framing, &wire(&framer, message).expect("sent")).remove(0)
                } else {
                    message.to_vec()
                });
            }
        }
        assert!(sent.len() >= 3, "{framing:?}");
        assert_eq!(naive(&framing, &stream), sent, "{framing:?}");
        assert_eq!(receive(&framer, [&*stream], &LIMITS), Ok(sent.clone()), "{framing:?}");
        assert_eq!(receive(&framer, stream.chunks(1), &LIMITS), Ok(sent.clone()), "{framing:?}");
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(
                    receive(&framer, pieces, &LIMITS),
                    Ok(sent.clone()),
                    "{framing:?} {first} {second}"
                );
            }
        }
    }
}

#[test]
fn any_bytes_in_any_pieces_are_cut_as_the_naive_splitter_does() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut packages, mut refused) = (0, 0);
    for round in 0..8_000 {
        let framings = framings();
        let framing = &framings[round % framings.len()];
        let framer = Framer::new(framing);
        let len = random.below(60);
        let mut stream = random.bytes(len);
        if matches!(framing, Framing::Length { .. }) {
            // Small lengths, or nothing would ever be whole.
            stream.iter_mut().for_each(|byte| *byte %= 7);
        }
        let (mut pieces, mut rest) = (Vec::new(), &*stream);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        match receive(&framer, pieces.iter().copied(), &LIMITS) {
            Ok(received) => {
                assert_eq!(received, naive(framing, &stream), "{framing:?} {pieces:?}");
                packages += received.len();
            }
            Err(error) => {
                assert!(
                    matches!(error, PackageError::LengthTooShort | PackageError::TooBig),
                    "{framing:?} {stream:?}"
                );
                refused += 1;
            }
        }
    }
    assert!(packages > 5_000 && refused > 100, "{packages} packages, {refused} refused: hardly a test");
}

#[test]
fn random_messages_of_random_lengths_are_what_they_were() {
    let mut random = Random(7);
    let mut unsendable = 0;
    for round in 0..2_000 {
        let framings = framings();
        let framing = &framings[round % framings.len()];
        let framer = Framer::new(framing);
        let most = [4, 40, 300, 70_000][random.below(4)];
        let len = random.below(most);
        let message = random.bytes(len);
        let Some(stream) = wire(&framer, &message) else {
            unsendable += 1;
            continue;
        };
        let (first, rest) = stream.split_at(random.below(stream.len() + 1));
        let received = receive(&framer, [first, rest], &LIMITS).expect("our own");
        let [received] = &received[..] else { panic!("{framing:?}: {} packages", received.len()) };
        assert_eq!(received.len(), message.len());
        match &framer {
            Framer::Length(head) if !head.is_bare => {
                assert_eq!(received[head.length.1..], message[head.length.1..])
            }
            _ => assert_eq!(*received, message),
        }
    }
    assert!(unsendable > 100, "{unsendable}: hardly a test");
}

#[test]
fn lengths_of_each_type_are_those_of_swoole() {
    for (length_type, bytes) in [
        (LengthType::U8, &[5][..]),
        (LengthType::U16Be, &[0, 5]),
        (LengthType::U16Le, &[5, 0]),
        (LengthType::U32Be, &[0, 0, 0, 5]),
        (LengthType::U32Le, &[5, 0, 0, 0]),
    ] {
        let size = bytes.len() as u16;
        let framer = Framer::new(&length(length_type, 0, size));
        assert_eq!(wire(&framer, b"hello"), Some([bytes, b"hello"].concat()));
        // The whole package is counted.
        let framer = Framer::new(&length(length_type, 0, 0));
        let whole = wire(&framer, b"hello").expect("it fits");
        assert_eq!(whole.iter().take(bytes.len()).sum::<u8>(), 5 + bytes.len() as u8);
        assert_eq!(receive(&framer, [&*whole], &LIMITS), Ok(vec![b"hello".to_vec()]));
    }
    // A type, two bytes of length, an id, the body: the user's own head, with the length filled in.
    let framer = Framer::new(&length(LengthType::U16Be, 1, 4));
    assert_eq!(wire(&framer, b"T??ibody"), Some(b"T\0\x04ibody".to_vec()));
    assert_eq!(
        receive(&framer, [&b"T\0\x04ibodyT\0\0j"[..]], &LIMITS),
        Ok(vec![b"T\0\x04ibody".to_vec(), b"T\0\0j".to_vec()])
    );
}

#[test]
fn what_a_framing_can_not_carry_is_not_sent() {
    let largest = |framing: &Framing, len: usize| wire(&Framer::new(framing), &vec![0; len]).is_some();
    for (framing, len) in [
        (length(LengthType::U8, 0, 1), 255),
        (length(LengthType::U8, 0, 0), 254),
        (length(LengthType::U16Be, 0, 2), 65_535),
        (length(LengthType::U16Le, 2, 4), 65_539),
    ] {
        assert!(largest(&framing, len) && !largest(&framing, len + 1), "{framing:?}");
    }
    // Too short for the head that it has to bring.
    assert!(largest(&length(LengthType::U16Be, 1, 4), 4) && !largest(&length(LengthType::U16Be, 1, 4), 3));
    assert!(largest(&length(LengthType::U16Be, 1, 0), 3) && !largest(&length(LengthType::U16Be, 1, 0), 2));
    let framer = Framer::new(&mark(b"abab"));
    assert!(wire(&framer, b"x abab y").is_none());
    assert!(wire(&framer, b"xab").is_none(), "with the mark behind it, it would end two bytes early");
    assert!(wire(&framer, b"xaba").is_some());
}

#[test]
fn limits_hold_before_anything_is_kept() {
    let limits = PackageLimits { package_bytes_max: 10, ..LIMITS };
    for framing in framings() {
        let framer = Framer::new(&framing);
        let is_bare = !matches!(&framer, Framer::Length(head) if !head.is_bare);
        let fits = wire(&framer, &[b'x'; 10]).expect("sendable");
        let too_big = wire(&framer, &[b'x'; 11]).expect("sendable");
        let expected = if is_bare { vec![b'x'; 10] } else { fits.clone() };
        for piece in 1..=too_big.len() {
            assert_eq!(
                receive(&framer, fits.chunks(piece), &limits),
                Ok(vec![expected.clone()]),
                "{framing:?}"
            );
            assert_eq!(
                receive(&framer, too_big.chunks(piece), &limits),
                Err(PackageError::TooBig),
                "{framing:?}"
            );
        }
    }
    // Told from the length alone; and a mark that never comes.
    for (framing, start) in [
        (length(LengthType::U32Be, 0, 4), &[0xff; 4][..]),
        (length(LengthType::U32Le, 0, 4), &[11, 0, 0, 0]),
        (mark(b"\r\n"), &[b'x'; 12]),
    ] {
        let framer = Framer::new(&framing);
        assert_eq!(receive(&framer, start.chunks(1), &limits), Err(PackageError::TooBig), "{framing:?}");
        assert_eq!(receive(&framer, [start], &limits), Err(PackageError::TooBig), "{framing:?}");
    }
}

#[test]
fn a_length_that_lies_is_refused() {
    for (framing, start) in [
        (length(LengthType::U32Be, 0, 0), &[0, 0, 0, 3][..]),
        (length(LengthType::U16Le, 0, 1), &[0, 0]),
        (length(LengthType::U8, 4, 2), b"head\x02"),
    ] {
        let framer = Framer::new(&framing);
        assert_eq!(receive(&framer, [start], &LIMITS), Err(PackageError::LengthTooShort), "{framing:?}");
        assert_eq!(
            receive(&framer, start.chunks(1), &LIMITS),
            Err(PackageError::LengthTooShort),
            "{framing:?}"
        );
    }
}

#[test]
fn memory_is_taken_for_what_came_and_within_the_room() {
    let framer = Framer::new(&length(LengthType::U32Be, 0, 4));
    let mut partial = PartialPackage::default();
    let start = [&[0, 0x0f, 0, 0][..], &[7; 100]].concat();
    assert_eq!(partial.step(&framer, &start, &LIMITS), Ok((start.len(), None)));
    assert!(partial.held_bytes() < 400, "{}", partial.held_bytes());
    // All that it ever holds is within the room that it was given, step by step.
    let mut random = Random(3);
    for framing in [mark(b"\n"), length(LengthType::U32Be, 0, 4)] {
        let framer = Framer::new(&framing);
        let stream = wire(&framer, &[b'x'; 50_000]).expect("sendable");
        for room in [100, 1_000, 49_999, 50_072, 60_000, 200_000] {
            let (mut partial, mut rest) = (PartialPackage::default(), &stream[..]);
            let mut before = partial.held_bytes();
            let mut is_whole = false;
            while !rest.is_empty() && !is_whole {
                let piece = &rest[..rest.len().min(1 + random.below(3_000))];
                let limits = PackageLimits { room: room - before, ..LIMITS };
                let Ok((used, data)) = partial.step(&framer, piece, &limits) else { break };
                (rest, is_whole, before) = (&rest[used..], data.is_some(), partial.held_bytes());
                assert!(before <= room, "{framing:?}: {before} of {room}");
            }
            assert_eq!(is_whole, room >= 60_000, "{framing:?} {room}");
        }
    }
}

#[test]
fn whole_packages_and_what_is_sent_take_no_memory() {
    for framing in framings() {
        let framer = Framer::new(&framing);
        let Some(stream) = wire(&framer, b"0123456789") else { panic!("{framing:?} carries it") };
        let counted = allocation_counter::measure(|| {
            let whole = framer.whole(&stream, &LIMITS).expect("in order");
            assert_eq!(whole.map(|(used, _)| used), Some(stream.len()));
            let package = framer.frame(b"0123456789".into()).expect("sendable");
            // Only a head of the user's own has to be copied, for the length to be put in.
            assert_eq!(
                matches!(package.body, Cow::Owned(_)),
                matches!(&framer, Framer::Length(h) if !h.is_bare)
            );
        });
        let most = u64::from(matches!(&framer, Framer::Length(head) if !head.is_bare));
        assert_eq!(counted.count_total, most, "{framing:?}");
    }
}

#[test]
fn marks_are_of_1_to_8_bytes() {
    assert!(mark(b"").check().is_err() && mark(b"123456789").check().is_err());
    assert!(mark(b"1").check().is_ok() && mark(b"12345678").check().is_ok());
    assert!(Framing::None.check().is_ok() && length(LengthType::U8, u16::MAX, u16::MAX).check().is_ok());
}
