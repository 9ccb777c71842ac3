use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::flink::primitive::{Primitives, modified_utf8};

/// Magic and version of every stream.
pub(super) const HEADER: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];

/// First handle that a stream assigns.
pub(super) const FIRST_HANDLE: u32 = 0x007E_0000;

/// Objects, classes and annotations nest at most this deep: a SQL row inside a row takes about five levels.
const MAX_DEPTH: usize = 64;

/// A stream holds at most so many objects, classes and strings.
const MAX_ITEMS: usize = 1 << 16;

pub(super) const TC_NULL: u8 = 0x70;
pub(super) const TC_REFERENCE: u8 = 0x71;
pub(super) const TC_CLASSDESC: u8 = 0x72;
pub(super) const TC_OBJECT: u8 = 0x73;
pub(super) const TC_STRING: u8 = 0x74;
const TC_ARRAY: u8 = 0x75;
const TC_CLASS: u8 = 0x76;
const TC_BLOCKDATA: u8 = 0x77;
pub(super) const TC_ENDBLOCKDATA: u8 = 0x78;
const TC_BLOCKDATALONG: u8 = 0x7A;
const TC_LONGSTRING: u8 = 0x7C;
const TC_PROXYCLASSDESC: u8 = 0x7D;
pub(super) const TC_ENUM: u8 = 0x7E;

const SC_WRITE_METHOD: u8 = 0x01;
pub(super) const SC_SERIALIZABLE: u8 = 0x02;
const SC_EXTERNALIZABLE: u8 = 0x04;
const SC_BLOCK_DATA: u8 = 0x08;
pub(super) const SC_ENUM: u8 = 0x10;

/// A parsed stream: everything that has a handle, in the order of the handles.
#[derive(Debug)]
pub(super) struct Stream {
    items: Vec<Item>,
    root: Content,
}

/// What a field, an element or an annotation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Null,
    /// An integer, a character or a boolean.
    Number(i64),
    /// Something that is not kept: a floating-point number, a class description among objects.
    Ignored,
    /// Position in the table.
    Item(usize),
}

#[derive(Debug)]
enum Item {
    /// Still being read.
    Pending,
    Class(Class),
    Object(Object),
    Text(String),
    Array(Vec<Content>),
    Enum(String),
    /// A class as a value, or anything else that has a handle and no use here.
    Other,
}

#[derive(Debug)]
struct Class {
    name: String,
    flags: u8,
    fields: Vec<Field>,
    parent: Option<usize>,
}

#[derive(Debug, Clone)]
struct Field {
    code: u8,
    name: String,
}

#[derive(Debug, Default)]
struct Object {
    class: usize,
    /// Values by class and position among its fields.
    values: Vec<(usize, usize, Content)>,
    annotations: Vec<Content>,
}

impl Stream {
    /// Reads a stream that holds one object.
    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        if !input.rest().starts_with(&HEADER) {
            return Err(start.corrupt("Java object stream", "does not start with ac ed 00 05"));
        }
        input.raw(HEADER.len(), "Java object stream")?;
        let mut parser = Parser { input, items: Vec::new() };
        let root = parser.content(0)?;
        Ok(Stream { items: parser.items, root })
    }

    pub(super) fn root(&self) -> Content {
        self.root
    }

    /// Class name of an object.
    pub(super) fn class_name(&self, content: Content) -> Option<&str> {
        Some(&self.class(self.object(content)?.class)?.name)
    }

    /// Value of an object's field; that of the most derived class where several have a field of the name.
    pub(super) fn field(&self, content: Content, name: &str) -> Option<Content> {
        let object = self.object(content)?;
        let named = |(class, index, _): &&(usize, usize, Content)| {
            self.class(*class).and_then(|class| class.fields.get(*index)).is_some_and(|field| field.name == name)
        };
        object.values.iter().rev().find(named).map(|(_, _, value)| *value)
    }

    pub(super) fn number(&self, content: Content, name: &str) -> Option<i64> {
        match self.field(content, name)? {
            Content::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn text(&self, content: Content) -> Option<&str> {
        match self.item(content)? {
            Item::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Name of an enum constant.
    pub(super) fn constant(&self, content: Content) -> Option<&str> {
        match self.item(content)? {
            Item::Enum(constant) => Some(constant),
            _ => None,
        }
    }

    /// Elements of one of the JDK's lists: those that write their elements after their fields, and those that wrap
    /// another list or an array.
    pub(super) fn list(&self, content: Content) -> Option<Vec<Content>> {
        let mut content = content;
        for _ in 0..MAX_DEPTH {
            if let Item::Array(elements) = self.item(content)? {
                return Some(elements.clone());
            }
            let wrapped = ["list", "c", "a", "array"].into_iter().find_map(|name| match self.field(content, name)? {
                inner @ Content::Item(_) => Some(inner),
                _ => None,
            });
            match wrapped {
                Some(inner) => content = inner,
                None => return Some(self.object(content)?.annotations.clone()),
            }
        }
        None
    }

    fn item(&self, content: Content) -> Option<&Item> {
        match content {
            Content::Item(index) => self.items.get(index),
            _ => None,
        }
    }

    fn object(&self, content: Content) -> Option<&Object> {
        match self.item(content)? {
            Item::Object(object) => Some(object),
            _ => None,
        }
    }

    fn class(&self, index: usize) -> Option<&Class> {
        match self.items.get(index)? {
            Item::Class(class) => Some(class),
            _ => None,
        }
    }
}

struct Parser<'r, 'a> {
    input: &'r mut Reader<'a>,
    items: Vec<Item>,
}

impl Parser<'_, '_> {
    /// Reads one object, string, array, enum constant, class or null.
    fn content(&mut self, depth: usize) -> Result<Content> {
        let start = self.input.clone();
        let tag = self.input.u8("object tag")?;
        self.tagged(tag, depth, &start)
    }

    fn tagged(&mut self, tag: u8, depth: usize, start: &Reader<'_>) -> Result<Content> {
        if depth >= MAX_DEPTH {
            return Err(start.corrupt("object tag", format!("objects nest deeper than {MAX_DEPTH} levels")));
        }
        let below = depth.saturating_add(1);
        match tag {
            TC_NULL => Ok(Content::Null),
            TC_REFERENCE => self.reference().map(Content::Item),
            TC_STRING => {
                let length = usize::from(self.input.u16("string length")?);
                self.string(length)
            }
            TC_LONGSTRING => {
                let length = self.input.size("string length")?;
                self.string(usize::try_from(length).unwrap_or(usize::MAX))
            }
            TC_OBJECT => self.object(below),
            TC_ARRAY => self.array(below),
            TC_ENUM => self.constant(below),
            TC_CLASS => {
                self.class_desc(below)?;
                self.reserve(Item::Other).map(Content::Item)
            }
            TC_CLASSDESC | TC_PROXYCLASSDESC => {
                self.new_class(tag, below)?;
                Ok(Content::Ignored)
            }
            _ => Err(unsupported(start, format!("object tag {tag:#04x} is not supported"))),
        }
    }

    fn reserve(&mut self, item: Item) -> Result<usize> {
        if self.items.len() >= MAX_ITEMS {
            return Err(self.input.corrupt("Java object stream", format!("holds more than {MAX_ITEMS} objects")));
        }
        self.items.push(item);
        Ok(self.items.len().saturating_sub(1))
    }

    fn complete(&mut self, index: usize, item: Item) -> usize {
        if let Some(slot) = self.items.get_mut(index) {
            *slot = item;
        }
        index
    }

    fn reference(&mut self) -> Result<usize> {
        let start = self.input.clone();
        let handle = self.input.u32("object handle")?;
        handle
            .checked_sub(FIRST_HANDLE)
            .and_then(|index| usize::try_from(index).ok())
            .filter(|index| *index < self.items.len())
            .ok_or_else(|| start.corrupt("object handle", format!("{handle:#010x} was not assigned")))
    }

    fn string(&mut self, length: usize) -> Result<Content> {
        let start = self.input.clone();
        let bytes = self.input.raw(length, "string")?;
        let units = modified_utf8(bytes).ok_or_else(|| start.corrupt("string", "is not modified UTF-8"))?;
        self.reserve(Item::Text(String::from_utf16_lossy(&units))).map(Content::Item)
    }

    fn object(&mut self, depth: usize) -> Result<Content> {
        let start = self.input.clone();
        let class = self.class_desc(depth)?.ok_or_else(|| start.corrupt("class description", "is null"))?;
        let index = self.reserve(Item::Pending)?;
        let mut object = Object { class, ..Object::default() };
        for class in self.lineage(class, &start)? {
            self.class_data(class, &mut object, depth)?;
        }
        Ok(Content::Item(self.complete(index, Item::Object(object))))
    }

    /// The class and its ancestors, topmost first.
    fn lineage(&self, class: usize, place: &Reader<'_>) -> Result<Vec<usize>> {
        let mut lineage = vec![class];
        let mut current = class;
        while let Some(Item::Class(Class { parent: Some(parent), .. })) = self.items.get(current) {
            lineage.push(*parent);
            current = *parent;
            if lineage.len() > MAX_DEPTH {
                let message = format!("a class has more than {MAX_DEPTH} ancestors");
                return Err(place.corrupt("class description", message));
            }
        }
        lineage.reverse();
        Ok(lineage)
    }

    fn class_data(&mut self, index: usize, object: &mut Object, depth: usize) -> Result<()> {
        let Some(Item::Class(class)) = self.items.get(index) else {
            return Err(self.input.corrupt("class description", "an object's class is still being described"));
        };
        let flags = class.flags;
        if flags & SC_SERIALIZABLE != 0 {
            let codes: Vec<u8> = class.fields.iter().map(|field| field.code).collect();
            for (position, code) in codes.into_iter().enumerate() {
                let value = self.value(code, depth)?;
                object.values.push((index, position, value));
            }
            if flags & SC_WRITE_METHOD != 0 {
                self.annotation(&mut object.annotations, depth)?;
            }
            return Ok(());
        }
        if flags & SC_EXTERNALIZABLE == 0 {
            return Ok(());
        }
        if flags & SC_BLOCK_DATA == 0 {
            return Err(unsupported(self.input, "an externalizable object without block data has no end".into()));
        }
        self.annotation(&mut object.annotations, depth)
    }

    fn value(&mut self, code: u8, depth: usize) -> Result<Content> {
        let input = &mut *self.input;
        let number = match code {
            b'B' => i64::from(input.u8("byte field")?.cast_signed()),
            b'Z' => i64::from(input.bool("boolean field")?),
            b'C' => i64::from(input.u16("char field")?),
            b'S' => i64::from(input.i16("short field")?),
            b'I' => i64::from(input.i32("int field")?),
            b'J' => input.i64("long field")?,
            b'F' => {
                input.u32("float field")?;
                return Ok(Content::Ignored);
            }
            b'D' => {
                input.u64("double field")?;
                return Ok(Content::Ignored);
            }
            _ => return self.content(depth),
        };
        Ok(Content::Number(number))
    }

    fn annotation(&mut self, contents: &mut Vec<Content>, depth: usize) -> Result<()> {
        loop {
            let start = self.input.clone();
            match self.input.u8("annotation")? {
                TC_ENDBLOCKDATA => return Ok(()),
                TC_BLOCKDATA => {
                    let length = usize::from(self.input.u8("block length")?);
                    self.input.raw(length, "block data")?;
                }
                TC_BLOCKDATALONG => {
                    self.input.bytes32("block data")?;
                }
                tag => contents.push(self.tagged(tag, depth, &start)?),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Content> {
        let start = self.input.clone();
        let class = self.class_desc(depth)?;
        let code = class.and_then(|class| match self.items.get(class)? {
            Item::Class(class) => class.name.as_bytes().get(1).copied(),
            _ => None,
        });
        let code = code.ok_or_else(|| start.corrupt("array class", "is no array class"))?;
        let index = self.reserve(Item::Pending)?;
        let width = match code {
            b'B' | b'Z' => 1,
            b'C' | b'S' => 2,
            b'I' | b'F' => 4,
            b'J' | b'D' => 8,
            _ => 0,
        };
        let count = self.input.items(width.max(1), "array length")?;
        let mut elements = Vec::new();
        if width > 0 {
            self.input.raw(count.saturating_mul(width), "array")?;
        } else {
            for _ in 0..count {
                elements.push(self.content(depth)?);
            }
        }
        Ok(Content::Item(self.complete(index, Item::Array(elements))))
    }

    fn constant(&mut self, depth: usize) -> Result<Content> {
        self.class_desc(depth)?;
        let index = self.reserve(Item::Pending)?;
        let start = self.input.clone();
        let name = self.content(depth)?;
        let name = match name {
            Content::Item(item) => match self.items.get(item) {
                Some(Item::Text(text)) => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        let name = name.ok_or_else(|| start.corrupt("enum constant", "is no string"))?;
        Ok(Content::Item(self.complete(index, Item::Enum(name))))
    }

    /// Reads a class description: a new one, a reference to one, or null.
    fn class_desc(&mut self, depth: usize) -> Result<Option<usize>> {
        let start = self.input.clone();
        if depth >= MAX_DEPTH {
            return Err(start.corrupt("class description", format!("classes nest deeper than {MAX_DEPTH} levels")));
        }
        match self.input.u8("class description")? {
            TC_NULL => Ok(None),
            TC_REFERENCE => {
                let index = self.reference()?;
                match self.items.get(index) {
                    Some(Item::Class(_)) => Ok(Some(index)),
                    _ => Err(start.corrupt("class description", "refers to something that is no complete class")),
                }
            }
            tag @ (TC_CLASSDESC | TC_PROXYCLASSDESC) => self.new_class(tag, depth).map(Some),
            tag => Err(start.corrupt("class description", format!("tag is {tag:#04x}, expected 70, 71, 72 or 7d"))),
        }
    }

    fn new_class(&mut self, tag: u8, depth: usize) -> Result<usize> {
        let below = depth.saturating_add(1);
        let (index, name, flags, fields);
        if tag == TC_PROXYCLASSDESC {
            index = self.reserve(Item::Pending)?;
            for _ in 0..self.input.items(2, "number of interfaces")? {
                self.input.utf("interface")?;
            }
            (name, flags, fields) = (String::new(), SC_SERIALIZABLE, Vec::new());
        } else {
            name = self.input.utf("class name")?;
            self.input.u64("serial version")?;
            index = self.reserve(Item::Pending)?;
            flags = self.input.u8("class flags")?;
            fields = self.fields(below)?;
        }
        self.annotation(&mut Vec::new(), below)?;
        let parent = self.class_desc(below)?;
        Ok(self.complete(index, Item::Class(Class { name, flags, fields, parent })))
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        for _ in 0..self.input.u16("number of fields")? {
            let start = self.input.clone();
            let code = self.input.u8("field type")?;
            let name = self.input.utf("field name")?;
            match code {
                b'B' | b'C' | b'D' | b'F' | b'I' | b'J' | b'S' | b'Z' => {}
                b'[' | b'L' => {
                    self.content(depth)?;
                }
                _ => return Err(start.corrupt("field type", format!("is {code:#04x}, which is no type"))),
            }
            fields.push(Field { code, name });
        }
        Ok(fields)
    }
}

fn unsupported(place: &Reader<'_>, message: String) -> Error {
    Error::incompatible(message).at_offset(place.offset()).in_field("Java object stream")
}
