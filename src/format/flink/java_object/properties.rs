use super::stream::{self, Content, Stream};
use crate::codec::{Reader, Writer};
use crate::error::Result;

/// What a snapshot was taken for (`CheckpointProperties`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointProperties {
    /// Deleted when the job is cancelled.
    pub discard_cancelled: bool,
    /// Deleted when the job fails.
    pub discard_failed: bool,
    /// Deleted when the job finishes.
    pub discard_finished: bool,
    /// Deleted when newer checkpoints take its place.
    pub discard_subsumed: bool,
    /// Deleted when the job is suspended.
    pub discard_suspended: bool,
    /// Taken whatever else was going on.
    pub forced: bool,
    /// Not owned by the job that restored it.
    pub unclaimed: bool,
    /// Checkpoint or savepoint.
    pub snapshot_type: SnapshotType,
}

/// Checkpoint or savepoint (`SnapshotType`). The texts are Flink's names of constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotType {
    /// A savepoint.
    Savepoint {
        /// Such as `Savepoint` or `Terminate Savepoint`.
        name: String,
        /// `CANONICAL` or `NATIVE`.
        format: String,
        /// `NONE`, `SUSPEND` or `TERMINATE`.
        post_action: String,
    },
    /// A checkpoint.
    Checkpoint {
        /// `Checkpoint` or `Full Checkpoint`.
        name: String,
        /// `FORWARD_BACKWARD`, `FORWARD` or `NO_SHARING`.
        sharing: String,
    },
}

impl CheckpointProperties {
    /// Reads properties, which are a Java object stream.
    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        let stream = Stream::read(input)?;
        convert(&stream).ok_or_else(|| start.corrupt("checkpoint properties", "the Java object has another form"))
    }
}

const SAVEPOINT_TYPE: &str = "org.apache.flink.runtime.checkpoint.SavepointType";
const POST_ACTION: &str = "org.apache.flink.runtime.checkpoint.SavepointType$PostCheckpointAction";

impl CheckpointProperties {
    /// The properties of a canonical savepoint, as Flink writes them: the same bytes in every version that has them.
    pub(crate) fn of_canonical_savepoint() -> Vec<u8> {
        let mut out = ObjectWriter(Writer::new());
        out.0.raw(&stream::HEADER);
        out.class(stream::TC_OBJECT, "org.apache.flink.runtime.checkpoint.CheckpointProperties", 2);
        out.0.raw(&[stream::SC_SERIALIZABLE, 0, 8]);
        for flag in ["Cancelled", "Failed", "Finished", "Subsumed", "Suspended"] {
            out.field(b'Z', &format!("discard{flag}"));
        }
        out.field(b'Z', "forced");
        out.field(b'Z', "unclaimed");
        out.object_field("checkpointType", "Lorg/apache/flink/runtime/checkpoint/SnapshotType;");
        out.end_of_class();
        // Only "forced" is set: nothing that happens to the job deletes a savepoint.
        out.0.raw(&[0, 0, 0, 0, 0, 1, 0]);
        out.class(stream::TC_OBJECT, SAVEPOINT_TYPE, 0xA087_D308_A458_14B8);
        out.0.raw(&[stream::SC_SERIALIZABLE, 0, 3]);
        out.object_field("formatType", "Lorg/apache/flink/core/execution/SavepointFormatType;");
        out.object_field("name", "Ljava/lang/String;");
        out.object_field("postCheckpointAction", &format!("L{};", POST_ACTION.replace('.', "/")));
        out.end_of_class();
        out.class(stream::TC_ENUM, "org.apache.flink.core.execution.SavepointFormatType", 0);
        out.0.raw(&ENUM_CLASS);
        out.class(stream::TC_NULL, "java.lang.Enum", 0);
        out.0.raw(&ENUM_CLASS);
        out.0.u8(stream::TC_NULL);
        out.text("CANONICAL");
        out.text("Savepoint");
        out.class(stream::TC_ENUM, POST_ACTION, 0);
        out.0.raw(&ENUM_CLASS);
        out.0.u8(stream::TC_REFERENCE);
        out.0.u32(stream::FIRST_HANDLE + ENUM_CLASS_HANDLE);
        out.text("NONE");
        out.0.into_bytes()
    }
}

/// Flags and fields of an enum's class, which has none.
const ENUM_CLASS: [u8; 4] = [stream::SC_ENUM | stream::SC_SERIALIZABLE, 0, 0, stream::TC_ENDBLOCKDATA];

/// Which of the handles that the properties' stream assigns is that of `java.lang.Enum`.
const ENUM_CLASS_HANDLE: u32 = 9;

/// Appends parts of an object stream.
struct ObjectWriter(Writer);

impl ObjectWriter {
    /// An object or constant (or nothing, where the class is another's parent) and the head of its class.
    fn class(&mut self, tag: u8, name: &str, suid: u64) {
        if tag != stream::TC_NULL {
            self.0.u8(tag);
        }
        self.0.u8(stream::TC_CLASSDESC);
        self.utf(name);
        self.0.u64(suid);
    }

    fn field(&mut self, code: u8, name: &str) {
        self.0.u8(code);
        self.utf(name);
    }

    fn object_field(&mut self, name: &str, class: &str) {
        self.field(b'L', name);
        self.text(class);
    }

    /// The end of a class without a serializable parent.
    fn end_of_class(&mut self) {
        self.0.raw(&[stream::TC_ENDBLOCKDATA, stream::TC_NULL]);
    }

    fn text(&mut self, text: &str) {
        self.0.u8(stream::TC_STRING);
        self.utf(text);
    }

    /// A short ASCII text: the length always fits.
    fn utf(&mut self, text: &str) {
        self.0.u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
        self.0.raw(text.as_bytes());
    }
}

fn convert(stream: &Stream) -> Option<CheckpointProperties> {
    let root = stream.root();
    let flag = |name: &str| stream.number(root, name).map(|number| number != 0);
    (stream.class_name(root)? == "org.apache.flink.runtime.checkpoint.CheckpointProperties").then_some(())?;
    Some(CheckpointProperties {
        discard_cancelled: flag("discardCancelled")?,
        discard_failed: flag("discardFailed")?,
        discard_finished: flag("discardFinished")?,
        discard_subsumed: flag("discardSubsumed")?,
        discard_suspended: flag("discardSuspended")?,
        forced: flag("forced")?,
        unclaimed: flag("unclaimed")?,
        snapshot_type: snapshot_type(stream, stream.field(root, "checkpointType")?)?,
    })
}

fn snapshot_type(stream: &Stream, object: Content) -> Option<SnapshotType> {
    let name = stream.text(stream.field(object, "name")?)?.to_owned();
    let constant = |field: &str| stream.constant(stream.field(object, field)?).map(str::to_owned);
    match stream.class_name(object)? {
        SAVEPOINT_TYPE => Some(SnapshotType::Savepoint {
            name,
            format: constant("formatType")?,
            post_action: constant("postCheckpointAction")?,
        }),
        "org.apache.flink.runtime.checkpoint.CheckpointType" => {
            Some(SnapshotType::Checkpoint { name, sharing: constant("sharingFilesStrategy")? })
        }
        _ => None,
    }
}
