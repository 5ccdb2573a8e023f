//! What each file of the crate names of the others: through `crate`, `super` or a child's name, in an import, in the
//! code, or in an attribute of serde's.

use crate::source::{Source, end_of_item, is_word, line_of, words};
use std::collections::{BTreeMap, BTreeSet};

type Module = Vec<String>;

/// All files of the crate but for its tests.
pub(crate) struct Files<'a> {
    files: BTreeMap<Module, &'a Source>,
    /// What a file has from another by `pub use`, and from which.
    passed_on: BTreeMap<(Module, String), Module>,
}

/// A file names another, or itself.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) line: usize,
    pub(crate) of: Module,
    /// What of it, if not all.
    pub(crate) name: String,
    /// By a `pub use`.
    is_passed_on: bool,
}

impl<'a> Files<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Files<'a> {
        let shipped = sources.iter().filter(|source| !source.is_test_file());
        let files = shipped.map(|source| (source.module(), source)).collect();
        let mut files = Files { files, passed_on: BTreeMap::new() };
        let mut passed_on = BTreeMap::new();
        for source in files.files.values() {
            let imports = files.imports(source).into_iter().filter(|import| import.is_passed_on);
            passed_on.extend(imports.map(|import| ((source.module(), import.name), import.of)));
        }
        files.passed_on = passed_on;
        files
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a Source> + use<'_, 'a> {
        self.files.values().copied()
    }

    pub(crate) fn imports(&self, source: &Source) -> Vec<Import> {
        let code = &source.shipped;
        let passing = ranges(code, "use", |before, _| before.starts_with("pub"));
        let inline = ranges(code, "mod", |_, item| item.ends_with('}'));
        let mut imports = Vec::new();
        for (at, path) in paths(code) {
            let mut module = source.module();
            let around = inline.iter().filter(|(start, end)| (*start..*end).contains(&at));
            module.extend(around.map(|(start, _)| identifier(&code[start + "mod ".len()..]).to_owned()));
            if let Some((of, name)) = self.resolve(&module, &path) {
                let is_passed_on = passing.iter().any(|(start, end)| (*start..*end).contains(&at));
                imports.push(Import { line: line_of(code, at), of, name, is_passed_on });
            }
        }
        for (at, attribute) in source.text.match_indices("with = \"") {
            let path = paths(&source.text[at + attribute.len()..]).swap_remove(0).1;
            if let Some((of, name)) = self.resolve(&source.module(), &path) {
                imports.push(Import { line: line_of(&source.text, at), of, name, is_passed_on: false });
            }
        }
        imports
    }

    /// The file that a path leads to, and what it names there; `None` if it leads out of the crate.
    fn resolve(&self, from: &[String], path: &[String]) -> Option<(Module, String)> {
        let (mut module, mut rest) = match &*path[0] {
            "crate" => (Module::new(), &path[1..]),
            "self" => (from.to_vec(), &path[1..]),
            _ => (from.to_vec(), path),
        };
        let mut is_ours = rest.len() < path.len();
        while let Some((part, others)) = rest.split_first() {
            if part == "super" {
                module.pop();
            } else {
                module.push(part.clone());
                if !self.files.contains_key(&module) {
                    module.pop();
                    break;
                }
            }
            (is_ours, rest) = (true, others);
        }
        // From within a module that is no file.
        while !self.files.contains_key(&module) {
            module.pop();
        }
        is_ours.then(|| (module, rest.first().cloned().unwrap_or_default()))
    }

    /// What is wrong if files import each other in a circle: all imports of which none can be the first to go.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut edges = BTreeMap::<(Module, Module), String>::new();
        for source in self.iter() {
            let used = without_uses_and_mods(&source.shipped);
            for import in self.imports(source) {
                // What is only passed on is not depended on.
                if import.is_passed_on && words(&used, &import.name).next().is_none() {
                    continue;
                }
                let (mut of, name) = (import.of, import.name);
                while let Some(next) = self.passed_on.get(&(of.clone(), name.clone())) {
                    of = next.clone();
                }
                if of != source.module() {
                    let place = format!("{}:{}: {}::{name}", source.path, import.line, of.join("::"));
                    edges.entry((source.module(), of)).or_insert(place);
                }
            }
        }
        loop {
            let left = edges.len();
            let importing: BTreeSet<_> = edges.keys().map(|(from, _)| from.clone()).collect();
            edges.retain(|(_, of), _| importing.contains(of));
            let imported: BTreeSet<_> = edges.keys().map(|(_, of)| of.clone()).collect();
            edges.retain(|(from, _), _| imported.contains(from));
            if edges.len() == left {
                return edges.into_values().collect();
            }
        }
    }
}

/// Begin and end of each item with this keyword that `is_meant`, by what is before it and by its text.
fn ranges(code: &str, keyword: &str, is_meant: impl Fn(&str, &str) -> bool) -> Vec<(usize, usize)> {
    let items = words(code, keyword).map(|at| (at, end_of_item(code, at)));
    let before = |at: usize| code[..at].rsplit(['\n', ';', '}']).next().unwrap_or_default().trim_start();
    // Not the `use<'a>` of a type.
    let items = items.filter(|(at, _)| code[at + keyword.len()..].starts_with(' '));
    items.filter(|(at, end)| is_meant(before(*at), &code[*at..*end])).collect()
}

fn without_uses_and_mods(code: &str) -> String {
    let mut rest = code.to_owned();
    let uses = ranges(code, "use", |_, _| true);
    for (start, end) in uses.into_iter().chain(ranges(code, "mod", |_, item| item.ends_with(';'))) {
        rest.replace_range(start..end, &" ".repeat(end - start));
    }
    rest
}

/// All paths with where they begin: `a::b` and `a::c` of `a::{b, c}`. A name by itself is none.
pub(crate) fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(c) = code[at..].chars().next() {
        at += if is_word(c) { read_path(&code[at..], at, &[], &mut paths) } else { c.len_utf8() };
    }
    paths.retain(|(_, path)| path.len() > 1);
    paths
}

/// Reads the path that `text` begins with, after `before`, and returns its length.
fn read_path(text: &str, at: usize, before: &[String], paths: &mut Vec<(usize, Vec<String>)>) -> usize {
    let name = identifier(text);
    let mut path = before.to_vec();
    // `a::{self}` is `a`.
    if name != "self" || before.is_empty() {
        path.push(name.to_owned());
    }
    let next = name.len() + "::".len();
    if !text[name.len()..].starts_with("::") || !text[next..].starts_with(|c| is_word(c) || c == '{') {
        paths.push((at, path));
        return name.len();
    }
    if !text[next..].starts_with('{') {
        return next + read_path(&text[next..], at + next, &path, paths);
    }
    let mut end = next + 1;
    while let Some(c) = text[end..].chars().next().filter(|c| *c != '}') {
        end += if is_word(c) { read_path(&text[end..], at + end, &path, paths) } else { c.len_utf8() };
    }
    end + 1
}

fn identifier(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

#[test]
fn imports_are_found_however_they_are_written() {
    let sources = [
        ("src/lib.rs", "mod a; mod b; pub use a::A;"),
        (
            "src/a/mod.rs",
            "mod deep; pub use deep::A; use std::fmt::{self, Write};\nfn f() -> deep::B { g() }",
        ),
        (
            "src/a/deep.rs",
            "use crate::{\n  b::{self, c::D},\n};\nmod inline { use super::X; use super::super::A; }",
        ),
        ("src/b/mod.rs", "#[serde(with = \"super::a::deep\")]"),
        ("src/b/c.rs", "#[cfg(test)]\nmod tests { use crate::a::A; }"),
    ];
    let sources = sources.map(|(path, text)| Source::new(path.into(), text.into()));
    let files = Files::new(&sources);
    let mut found = Vec::new();
    for source in files.iter() {
        let imports = files.imports(source).into_iter();
        found.extend(imports.map(|import| {
            format!("{}:{} {}", source.path, import.line, import.of.join("::")) + "," + &import.name
        }));
    }
    let expected = [
        "src/lib.rs:1 a,A",
        "src/a/mod.rs:1 a::deep,A",
        "src/a/mod.rs:2 a::deep,B",
        "src/a/deep.rs:2 b,",
        "src/a/deep.rs:2 b::c,D",
        "src/a/deep.rs:4 a::deep,X",
        "src/a/deep.rs:4 a,A",
        "src/b/mod.rs:1 a::deep,",
    ];
    assert_eq!(found, expected);
    // The name that a/mod.rs passes on is defined in the file that imports it, and lib.rs is imported by none.
    assert_eq!(files.circles(), ["src/a/deep.rs:2: b::", "src/b/mod.rs:1: a::deep::"]);
}
