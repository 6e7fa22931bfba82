//! Where the types of a component differ from the contract, in the words of the contract.
//!
//! The linker refuses such a component too, but names neither the record nor the member. What is
//! compared with is the built-in component, which has the types of `wit/v1` by construction; the
//! walk follows the contract, so a hostile type cannot make it long.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentFuncType,
    ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::types::Types;

use super::error::LoadPluginError;
use super::shape::{self, Shape};
use super::{builtin, text, world};

/// Differences named in one message.
const SHOWN_MAX: usize = 3;

/// Compares the evaluator that a component exports with the contract.
///
/// # Errors
/// When types differ.
pub(super) fn check(shape: &Shape) -> Result<(), LoadPluginError> {
    let Some((contract, names)) = contract() else { return Ok(()) };
    let (Some(wanted), Some(found)) = (evaluator(contract), evaluator(shape)) else { return Ok(()) };
    let mut walk = Walk { wanted: &contract.types, seen: &shape.types, names, found: Vec::new() };
    walk.functions(wanted, found);
    if walk.found.is_empty() {
        return Ok(());
    }
    let more = walk.found.len().saturating_sub(SHOWN_MAX);
    let mut said: Vec<String> =
        walk.found.iter().take(SHOWN_MAX).map(|line| text::one_line(line, 256)).collect();
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    Err(LoadPluginError::TypesDiffer(said.join("; ")))
}

/// Names of types by the names of their members, which differ between all types of the contract.
type Names = BTreeMap<String, String>;

fn contract() -> Option<&'static (Shape, Names)> {
    static CONTRACT: OnceLock<Option<(Shape, Names)>> = OnceLock::new();
    let make = || {
        let shape = shape::examine(builtin::AZURE_HEALTH).ok()?;
        let names = names(&shape);
        Some((shape, names))
    };
    CONTRACT.get_or_init(make).as_ref()
}

fn evaluator(shape: &Shape) -> Option<ComponentInstanceTypeId> {
    let name = shape.exports.iter().find(|name| world::is_evaluator(name))?;
    match shape.types.component_item_for_export(name)?.ty {
        ComponentEntityType::Instance(id) => Some(id),
        _ => None,
    }
}

fn names(shape: &Shape) -> Names {
    let mut names = Names::new();
    let types = &shape.types;
    for import in shape.imports.iter().filter_map(|name| types.component_item_for_import(name)) {
        let ComponentEntityType::Instance(id) = import.ty else { continue };
        for (name, item) in &types[id].exports {
            if let ComponentEntityType::Type { referenced: ComponentAnyTypeId::Defined(id), .. } = item.ty
                && let Some((_, members)) = members(&types[id])
            {
                names.insert(members.join(","), name.clone());
            }
        }
    }
    names
}

/// Kind and names of the members of a type that has some.
fn members(ty: &ComponentDefinedType) -> Option<(&'static str, Vec<String>)> {
    let (kind, names): (_, Vec<String>) = match ty {
        ComponentDefinedType::Record(record) => {
            ("record", record.fields.keys().map(ToString::to_string).collect())
        }
        ComponentDefinedType::Variant(variant) => {
            ("variant", variant.cases.keys().map(ToString::to_string).collect())
        }
        ComponentDefinedType::Enum(names) => ("enum", names.iter().map(ToString::to_string).collect()),
        ComponentDefinedType::Flags(names) => ("flags", names.iter().map(ToString::to_string).collect()),
        _ => return None,
    };
    Some((kind, names))
}

struct Walk<'a> {
    wanted: &'a Types,
    seen: &'a Types,
    names: &'a Names,
    found: Vec<String>,
}

impl Walk<'_> {
    fn functions(&mut self, wanted: ComponentInstanceTypeId, seen: ComponentInstanceTypeId) {
        for (name, item) in &self.wanted[wanted].exports {
            let ComponentEntityType::Func(id) = item.ty else { continue };
            match self.seen[seen].exports.get(name).map(|item| item.ty) {
                Some(ComponentEntityType::Func(found)) => {
                    let (wanted, found) = (&self.wanted[id], &self.seen[found]);
                    self.function(name, wanted, found);
                }
                _ => self.say(format!("interface `evaluator` lacks the function `{name}`")),
            }
        }
    }

    fn function(&mut self, name: &str, wanted: &ComponentFuncType, seen: &ComponentFuncType) {
        if seen.async_ {
            self.say(format!("function `{name}` is async"));
        }
        if wanted.params.len() != seen.params.len() {
            let (want, have) = (wanted.params.len(), seen.params.len());
            return self.say(format!("function `{name}` takes {have} parameters instead of {want}"));
        }
        for ((param, wanted), (_, seen)) in wanted.params.iter().zip(&seen.params) {
            self.value(&format!("parameter `{param}` of `{name}`"), *wanted, *seen);
        }
        self.optional(&format!("result of `{name}`"), wanted.result, seen.result);
    }

    fn optional(&mut self, place: &str, wanted: Option<ComponentValType>, seen: Option<ComponentValType>) {
        match (wanted, seen) {
            (None, None) => {}
            (Some(wanted), Some(seen)) => self.value(place, wanted, seen),
            (Some(wanted), None) => {
                let wanted = self.describe(self.wanted, wanted);
                self.say(format!("{place} is nothing instead of {wanted}"));
            }
            (None, Some(seen)) => {
                let seen = self.describe(self.seen, seen);
                self.say(format!("{place} is {seen} instead of nothing"));
            }
        }
    }

    fn value(&mut self, place: &str, wanted: ComponentValType, seen: ComponentValType) {
        use ComponentDefinedType as Type;
        let (want, have) = (resolve(self.wanted, wanted), resolve(self.seen, seen));
        match (&want, &have) {
            (Type::Primitive(a), Type::Primitive(b)) if a == b => {}
            (Type::List { element: a, .. }, Type::List { element: b, .. }) => self.value(place, *a, *b),
            (Type::Option { ty: a, .. }, Type::Option { ty: b, .. }) => self.value(place, *a, *b),
            (Type::Tuple(a), Type::Tuple(b)) if a.types.len() == b.types.len() => {
                for (a, b) in a.types.iter().zip(&b.types) {
                    self.value(place, *a, *b);
                }
            }
            (Type::Result { ok: a, err: e, .. }, Type::Result { ok: b, err: f, .. }) => {
                self.optional(place, *a, *b);
                self.optional(&format!("error in the {place}"), *e, *f);
            }
            (Type::Record(a), Type::Record(b)) => {
                let name = self.members(&want, &have);
                for (field, a) in &a.fields {
                    if let Some(b) = b.fields.get(field) {
                        self.value(&format!("`{field}` of record `{name}`"), *a, *b);
                    }
                }
            }
            (Type::Variant(a), Type::Variant(b)) => {
                let name = self.members(&want, &have);
                for (case, a) in &a.cases {
                    if let Some(b) = b.cases.get(case) {
                        self.optional(&format!("`{case}` of variant `{name}`"), a.ty, b.ty);
                    }
                }
            }
            (Type::Enum(_), Type::Enum(_)) | (Type::Flags(_), Type::Flags(_)) => {
                self.members(&want, &have);
            }
            _ => {
                let (want, have) = (self.describe(self.wanted, wanted), self.describe(self.seen, seen));
                self.say(format!("{place} is {have} instead of {want}"));
            }
        }
    }

    /// Compares the names of members and gives the name of the type.
    fn members(&mut self, wanted: &ComponentDefinedType, seen: &ComponentDefinedType) -> String {
        let (Some((kind, want)), Some((_, have))) = (members(wanted), members(seen)) else {
            return String::new();
        };
        let name = self.names.get(&want.join(",")).cloned().unwrap_or_else(|| "?".to_owned());
        let before = self.found.len();
        for missing in want.iter().filter(|name| !have.contains(name)) {
            self.say(format!("{kind} `{name}` lacks `{missing}`"));
        }
        for added in have.iter().filter(|name| !want.contains(name)) {
            self.say(format!("{kind} `{name}` has `{added}`, which the contract does not know"));
        }
        if before == self.found.len() && want != have {
            self.say(format!("{kind} `{name}` has its members in another order"));
        }
        name
    }

    fn describe(&self, types: &Types, ty: ComponentValType) -> String {
        use ComponentDefinedType as Type;
        match resolve(types, ty) {
            Type::Primitive(primitive) => primitive.to_string(),
            Type::List { element: inner, .. } => format!("a list of {}", self.outline(types, inner)),
            Type::Option { ty: inner, .. } => format!("an option of {}", self.outline(types, inner)),
            other => self.name(&other),
        }
    }

    /// As `describe`, one level deep.
    fn outline(&self, types: &Types, ty: ComponentValType) -> String {
        match resolve(types, ty) {
            ComponentDefinedType::Primitive(primitive) => primitive.to_string(),
            other => self.name(&other),
        }
    }

    fn name(&self, ty: &ComponentDefinedType) -> String {
        use ComponentDefinedType as Type;
        if let Some((kind, members)) = members(ty) {
            return match self.names.get(&members.join(",")) {
                Some(name) => format!("{kind} `{name}`"),
                None => format!("another {kind}"),
            };
        }
        match ty {
            Type::List { .. } => "a list",
            Type::Option { .. } => "an option",
            Type::Tuple(_) => "a tuple",
            Type::Result { .. } => "a result",
            _ => "a type that the contract does not use",
        }
        .to_owned()
    }

    fn say(&mut self, line: String) {
        if !self.found.contains(&line) {
            self.found.push(line);
        }
    }
}

fn resolve(types: &Types, ty: ComponentValType) -> ComponentDefinedType {
    match ty {
        ComponentValType::Primitive(primitive) => ComponentDefinedType::Primitive(primitive),
        ComponentValType::Type(id) => types[id].clone(),
    }
}
