//! Tuples.

use super::{Compatibility, Serializer, SerializerSnapshot};
use crate::codec::{Reader, Writer};
use crate::error::Result;

/// The serializer of tuples of one arity.
macro_rules! tuple {
    ($name:ident, $doc:literal, $($field:ident $variable:ident $index:tt $part:literal),+) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name<$($field),+>($(#[doc = $part] pub $field),+);

        impl<$($field: Serializer),+> Serializer for $name<$($field),+> {
            type Value = ($($field::Value,)+);

            fn snapshot(&self) -> SerializerSnapshot {
                SerializerSnapshot::Tuple(vec![$(self.$index.snapshot()),+])
            }

            #[inline]
            fn write(&self, value: &Self::Value, out: &mut Writer) -> Result<()> {
                $(self.$index.write(&value.$index, out)?;)+
                Ok(())
            }

            #[inline]
            fn read(&self, input: &mut Reader<'_>) -> Result<Self::Value> {
                Ok(($(self.$index.read(input)?,)+))
            }

            fn min_len(&self) -> usize {
                [$(self.$index.min_len()),+].into_iter().fold(0, usize::saturating_add)
            }

            fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
                match written {
                    SerializerSnapshot::Tuple(fields) => match fields.as_slice() {
                        [$($variable),+] => {
                            let verdict = Compatibility::AsIs;
                            $(let verdict = verdict.and(self.$index.compatibility($variable).of_part($part));)+
                            verdict
                        }
                        _ => Compatibility::of_identical(&self.snapshot(), written),
                    },
                    other => Compatibility::of_identical(&self.snapshot(), other),
                }
            }

            fn read_written(&self, written: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<Self::Value> {
                if let SerializerSnapshot::Tuple(fields) = written
                    && let [$($variable),+] = fields.as_slice()
                {
                    return Ok(($(self.$index.read_written($variable, input)?,)+));
                }
                Err(Compatibility::refusal(&self.snapshot(), written))
            }
        }
    };
}

tuple!(Tuple2, "`(A, B)`: the fields side by side.", A a 0 "tuple field 0", B b 1 "tuple field 1");
tuple!(
    Tuple3, "`(A, B, C)`: the fields side by side.",
    A a 0 "tuple field 0", B b 1 "tuple field 1", C c 2 "tuple field 2"
);
tuple!(
    Tuple4, "`(A, B, C, D)`: the fields side by side.",
    A a 0 "tuple field 0", B b 1 "tuple field 1", C c 2 "tuple field 2", D d 3 "tuple field 3"
);
