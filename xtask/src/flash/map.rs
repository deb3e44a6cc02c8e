//! Reading a bmap (bmaptool's format, version 2.0): which bytes of an image matter.

use quick_xml::Reader;
use quick_xml::events::Event;

/// A run of bytes to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// Checksum of the image's bytes, where one is known.
    pub sha256: Option<String>,
}

/// A bmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Length of the image.
    pub image_bytes: u64,
    /// What matters of it: in order, apart from each other, within the image.
    pub pieces: Vec<Piece>,
}

/// Reads a bmap.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Map, String> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut image, mut block, mut ranges) = (Vec::new(), None, None, Vec::new());
    let mut sum = None;
    loop {
        match reader.read_event().map_err(|error| format!("it is no XML: {error}"))? {
            Event::Eof => break,
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                sum = match tag.try_get_attribute("chksum") {
                    Ok(attribute) => attribute.map(|found| found.value.into_owned()),
                    Err(error) => return Err(format!("a tag can't be read: {error}")),
                };
                path.push(name);
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Text(words) => {
                let words = words.trim().to_owned();
                match path.last().map(String::as_str) {
                    Some("ImageSize") => image = Some(number(&words)?),
                    Some("BlockSize") => block = Some(number(&words)?),
                    Some("ChecksumType") if words != "sha256" => return Err(format!("its checksums are `{words}`, not sha256")),
                    Some("Range") if !words.is_empty() => ranges.push((words, sum.take())),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let image_bytes = image.ok_or("it names no ImageSize")?;
    let block = block.filter(|block| *block > 0).ok_or("it names no BlockSize")?;
    let mut pieces: Vec<Piece> = Vec::new();
    for (words, sha256) in ranges {
        let (first, last) = words.split_once('-').unwrap_or((&words, &words));
        let start = number(first)?.checked_mul(block).ok_or("a range lies beyond any disk")?;
        let end = number(last)?.checked_add(1).and_then(|end| end.checked_mul(block)).ok_or("a range lies beyond any disk")?;
        let end = end.min(image_bytes);
        if start >= end || pieces.last().is_some_and(|before| before.end > start) {
            return Err(format!("the range `{words}` is out of order or outside of the image"));
        }
        pieces.push(Piece { start, end, sha256 });
    }
    if pieces.is_empty() {
        return Err("it names nothing to write".to_owned());
    }
    Ok(Map { image_bytes, pieces })
}

fn number(words: &str) -> Result<u64, String> {
    words.trim().parse().map_err(|_| format!("`{words}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(ranges: &str) -> String {
        format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\"><ImageSize> 10000 </ImageSize><BlockSize> 4096 </BlockSize>\
             <ChecksumType> sha256 </ChecksumType><BlockMap>{ranges}</BlockMap></bmap>"
        )
    }

    #[test]
    fn ranges_become_bytes_within_the_image() {
        let map = parse(&map("<Range chksum=\"ab\"> 0 </Range>\n<Range> 1-2 </Range>")).unwrap();
        assert_eq!(
            map.pieces,
            [Piece { start: 0, end: 4096, sha256: Some("ab".to_owned()) }, Piece { start: 4096, end: 10000, sha256: None }]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            (map(""), "nothing to write"),
            (map("<Range> 1 </Range><Range> 0 </Range>"), "out of order"),
            (map("<Range> 0-1 </Range><Range> 1-2 </Range>"), "out of order"),
            (map("<Range> 3 </Range>"), "outside of the image"),
            (map("<Range> x </Range>"), "no number"),
            (map("<Range> 18446744073709551615 </Range>"), "beyond any disk"),
            (map("<Range> 0 </Range>").replace("sha256", "md5"), "not sha256"),
            ("<bmap>".to_owned(), ""),
        ] {
            let said = parse(&text).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_pieces_lie_in_order(first in 0u64..9, last in 0u64..9, junk in "[<> /a-zR0-9\"=-]{0,20}") {
            let text = map(&format!("<Range> {first}-{last} </Range>{junk}<Range> 2 </Range>"));
            if let Ok(map) = parse(&text) {
                prop_assert!(map.pieces.iter().all(|piece| piece.start < piece.end && piece.end <= map.image_bytes));
                prop_assert!(map.pieces.windows(2).all(|pair| pair[0].end <= pair[1].start));
            }
        }
    }
}
