import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Constructor;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.RunnableFuture;
import java.util.function.LongFunction;
import java.util.stream.Stream;

import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.State;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.memory.DataInputViewStreamWrapper;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.checkpoint.CheckpointProperties;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.SavepointType;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.io.disk.iomanager.IOManager;
import org.apache.flink.runtime.io.disk.iomanager.IOManagerAsync;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.memory.MemoryManager;
import org.apache.flink.runtime.state.AbstractKeyedStateBackend;
import org.apache.flink.runtime.state.CheckpointStorageLocationReference;
import org.apache.flink.runtime.state.CheckpointStreamFactory;
import org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyGroupsSavepointStateHandle;
import org.apache.flink.runtime.state.KeyGroupsStateHandle;
import org.apache.flink.runtime.state.KeyedBackendSerializationProxy;
import org.apache.flink.runtime.state.KeyedStateBackendParametersImpl;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.LocalRecoveryConfig;
import org.apache.flink.runtime.state.PhysicalStateHandleID;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.StateBackendLoader;
import org.apache.flink.runtime.state.StreamStateHandle;
import org.apache.flink.runtime.state.TaskStateManager;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.runtime.state.filesystem.FsCheckpointStreamFactory;
import org.apache.flink.runtime.state.ttl.TtlTimeProvider;
import org.apache.flink.runtime.taskmanager.TaskManagerRuntimeInfo;
import org.apache.flink.streaming.api.operators.StreamOperatorStateHandler;
import org.apache.flink.util.SimpleUserCodeClassLoader;

/**
 * Large snapshots from Flink's own keyed state backends, and how long those take to restore one. No job and no cluster:
 * the backends are created as a task creates them, over a stub of its environment, and only that call is timed.
 *
 * <pre>
 * make DIR BACKEND canonical|native ENTRIES      writes a snapshot into DIR
 * restore DIR BACKEND ROUNDS OUT.jsonl [buffered]
 * </pre>
 *
 * "buffered" puts 64 KiB in front of every state file. Flink's local file system reads without a buffer, so that a
 * canonical restore makes many small system calls; clients of object stores and HDFS buffer.
 */
public final class FlinkRestore {
    private static final int MAX_PARALLELISM = 128;
    private static final int SUM_KEYS = 64;

    private FlinkRestore() {}

    public static void main(String[] args) throws Exception {
        if (args.length >= 5 && args[0].equals("make")) {
            make(new File(args[1]), args[2], args[3], Long.parseLong(args[4]));
        } else if (args.length >= 5 && args[0].equals("restore")) {
            boolean buffered = args.length > 5 && args[5].equals("buffered");
            restore(new File(args[1]), args[2], Integer.parseInt(args[3]), args[4], buffered);
        } else {
            System.err.println("make DIR BACKEND canonical|native ENTRIES | restore DIR BACKEND ROUNDS OUT.jsonl [buffered]");
            System.exit(2);
        }
        System.exit(0);
    }

    // ---------------------------------------------------------------------------------------- workload

    /** A POJO as a job would have it. */
    public static class Profile {
        public long id;
        public String name;
        public double score;
        public int visits;
        public boolean active;
    }

    private static long mix(long id) {
        long z = id * 0x9E3779B97F4A7C15L + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    private static String hex(long id) {
        return String.format("%016x", mix(id));
    }

    /** Five entries a key: a number, a POJO, two entries of a map, a list of three numbers. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void fill(AbstractKeyedStateBackend backend, long keys, LongFunction<Object> key) throws Exception {
        ValueState<Long> count = (ValueState<Long>) open(backend, new ValueStateDescriptor<>("count", Long.class));
        ValueState<Profile> profile =
                (ValueState<Profile>) open(backend, new ValueStateDescriptor<>("profile", TypeInformation.of(Profile.class)));
        MapState<String, Long> sums =
                (MapState<String, Long>) open(backend, new MapStateDescriptor<>("sums", String.class, Long.class));
        ListState<Long> recent = (ListState<Long>) open(backend, new ListStateDescriptor<>("recent", Long.class));
        for (long id = 0; id < keys; id++) {
            backend.setCurrentKey(key.apply(id));
            count.update(mix(id));
            Profile p = new Profile();
            p.id = id;
            p.name = hex(id) + hex(id + 1) + hex(id + 2) + hex(id + 3);
            p.score = id / 7.0;
            p.visits = (int) (id % 1000);
            p.active = id % 3 == 0;
            profile.update(p);
            sums.put("sum-" + id % SUM_KEYS, mix(id + 1));
            sums.put("max-" + id % SUM_KEYS, mix(id + 2));
            recent.update(Arrays.asList(id, id + 1, id + 2));
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static State open(AbstractKeyedStateBackend backend, StateDescriptor descriptor) throws Exception {
        descriptor.initializeSerializerUnlessSet(new ExecutionConfig());
        return backend.getPartitionedState(VoidNamespace.INSTANCE, VoidNamespaceSerializer.INSTANCE, descriptor);
    }

    // -------------------------------------------------------------------------------------------- make

    private static void make(File directory, String backend, String kind, long entries) throws Exception {
        if (directory.exists()) throw new IOException(directory + " exists");
        directory.mkdirs();
        long keys = entries / 10;
        List<OperatorState> operators = new ArrayList<>();
        operators.add(operator(directory, backend, kind, 1, keys, LongSerializer.INSTANCE, id -> id));
        operators.add(operator(directory, backend, kind, 2, keys, StringSerializer.INSTANCE, FlinkRestore::hex));
        CheckpointMetadata metadata =
                new CheckpointMetadata(1, operators, Collections.emptyList(), CheckpointProperties.forSavepoint(true, format(kind)));
        try (DataOutputStream out = new DataOutputStream(new FileOutputStream(new File(directory, "_metadata")))) {
            Checkpoints.storeCheckpointMetadata(metadata, out);
        }
        System.out.printf("%d entries in %s%n", keys * 10, directory);
    }

    private static OperatorState operator(
            File directory, String name, String kind, long id, long keys, TypeSerializer<?> serializer, LongFunction<Object> key)
            throws Exception {
        try (Slot slot = new Slot(name)) {
            AbstractKeyedStateBackend<?> backend = slot.backend(serializer, Collections.emptyList());
            fill(backend, keys, key);
            Path path = new Path(directory.toURI());
            CheckpointStreamFactory files =
                    new FsCheckpointStreamFactory(FileSystem.getLocalFileSystem(), path, path, 0, 1 << 20);
            KeyedStateHandle handle = snapshot(backend, kind, files);
            slot.dispose(backend);
            OperatorState state = operatorState(new OperatorID(id, id));
            state.putState(0, OperatorSubtaskState.builder().setManagedKeyedState(handle).build());
            return state;
        }
    }

    private static KeyedStateHandle snapshot(AbstractKeyedStateBackend<?> backend, String kind, CheckpointStreamFactory files)
            throws Exception {
        CheckpointOptions options =
                CheckpointOptions.alignedNoTimeout(
                        SavepointType.savepoint(format(kind)), CheckpointStorageLocationReference.getDefault());
        RunnableFuture<SnapshotResult<KeyedStateHandle>> taken =
                format(kind) == SavepointFormatType.CANONICAL
                        ? StreamOperatorStateHandler.prepareCanonicalSavepoint(backend, new CloseableRegistry())
                                .snapshot(1, 1, files, options)
                        : backend.snapshot(1, 1, files, options);
        taken.run();
        return taken.get().getJobManagerOwnedSnapshot();
    }

    private static SavepointFormatType format(String kind) {
        return kind.equals("canonical") ? SavepointFormatType.CANONICAL : SavepointFormatType.NATIVE;
    }

    /** Newer versions want a name and a uid, too. */
    private static OperatorState operatorState(OperatorID id) throws Exception {
        for (Constructor<?> c : OperatorState.class.getConstructors()) {
            if (c.getParameterCount() == 3) return (OperatorState) c.newInstance(id, 1, MAX_PARALLELISM);
            if (c.getParameterCount() == 5) return (OperatorState) c.newInstance(null, null, id, 1, MAX_PARALLELISM);
        }
        throw new IllegalStateException("OperatorState has other constructors");
    }

    // ----------------------------------------------------------------------------------------- restore

    private static void restore(File directory, String backend, int rounds, String out, boolean buffered) throws Exception {
        CheckpointMetadata metadata;
        try (DataInputStream in =
                new DataInputStream(new BufferedInputStream(new FileInputStream(new File(directory, "_metadata"))))) {
            metadata = Checkpoints.loadCheckpointMetadata(in, FlinkRestore.class.getClassLoader(), directory.toURI().toString());
        }
        long bytes = 0;
        for (OperatorState operator : metadata.getOperatorStates()) bytes += operator.getStateSize();
        double[] seconds = new double[rounds];
        double[] collecting = new double[rounds];
        for (int round = 0; round < rounds; round++) {
            for (OperatorState operator : metadata.getOperatorStates()) {
                for (OperatorSubtaskState subtask : operator.getStates()) {
                    if (subtask.getManagedKeyedState().isEmpty()) continue;
                    System.gc();
                    double[] took = timed(backend, subtask.getManagedKeyedState(), buffered);
                    seconds[round] += took[0];
                    collecting[round] += took[1];
                }
            }
            System.err.printf(Locale.ROOT, "round %d: %.2f s, of which %.2f s collecting garbage%n", round, seconds[round], collecting[round]);
        }
        double first = seconds[0];
        double[] sorted = seconds.clone();
        Arrays.sort(sorted);
        String line =
                String.format(
                        Locale.ROOT,
                        "{\"engine\":\"flink\",\"op\":\"restore\",\"backend\":\"%s\",\"buffered\":%b,\"snapshot\":\"%s\",\"bytes\":%d,"
                                + "\"rounds\":%d,\"first_s\":%.3f,\"median_s\":%.3f,\"best_s\":%.3f}%n",
                        backend, buffered, directory.getName(), bytes, rounds, first, sorted[rounds / 2], sorted[0]);
        System.out.print(line);
        Files.write(Paths.get(out), line.getBytes(StandardCharsets.UTF_8), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** Seconds that creating the backend took, and the garbage collection during that. */
    private static double[] timed(String name, Collection<KeyedStateHandle> stored, boolean buffered) throws Exception {
        TypeSerializer<?> key = keySerializer(stored.iterator().next());
        List<KeyedStateHandle> handles = new ArrayList<>();
        for (KeyedStateHandle handle : stored) handles.add(buffered ? Buffered.wrap(handle) : handle);
        try (Slot slot = new Slot(name)) {
            long collected = collected();
            long start = System.nanoTime();
            AbstractKeyedStateBackend<?> backend = slot.backend(key, handles);
            double took = (System.nanoTime() - start) / 1e9;
            double collecting = (collected() - collected) / 1e3;
            slot.dispose(backend);
            return new double[] {took, collecting};
        }
    }

    private static long collected() {
        long millis = 0;
        for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans()) millis += bean.getCollectionTime();
        return millis;
    }

    /** The serializer that wrote the keys, as the snapshot describes it. */
    private static TypeSerializer<?> keySerializer(KeyedStateHandle handle) throws Exception {
        StreamStateHandle header =
                handle instanceof IncrementalRemoteKeyedStateHandle
                        ? ((IncrementalRemoteKeyedStateHandle) handle).getMetaDataStateHandle()
                        : (KeyGroupsStateHandle) handle;
        KeyedBackendSerializationProxy<?> proxy =
                new KeyedBackendSerializationProxy<>(FlinkRestore.class.getClassLoader());
        try (FSDataInputStream in = header.openInputStream()) {
            proxy.read(new DataInputViewStreamWrapper(in));
        }
        return proxy.getKeySerializerSnapshot().restoreSerializer();
    }

    /** A state file behind a buffer. */
    private static final class Buffered implements StreamStateHandle {
        private final StreamStateHandle inner;

        private Buffered(StreamStateHandle inner) {
            this.inner = inner;
        }

        static KeyedStateHandle wrap(KeyedStateHandle handle) {
            if (!(handle instanceof KeyGroupsStateHandle)) return handle;
            KeyGroupsStateHandle groups = (KeyGroupsStateHandle) handle;
            Buffered buffered = new Buffered(groups.getDelegateStateHandle());
            return handle instanceof KeyGroupsSavepointStateHandle
                    ? new KeyGroupsSavepointStateHandle(groups.getGroupRangeOffsets(), buffered)
                    : new KeyGroupsStateHandle(groups.getGroupRangeOffsets(), buffered);
        }

        @Override
        public FSDataInputStream openInputStream() throws IOException {
            FSDataInputStream in = inner.openInputStream();
            return new FSDataInputStream() {
                private final byte[] bytes = new byte[64 << 10];
                private int next;
                private int end;

                private boolean fill() throws IOException {
                    next = 0;
                    end = Math.max(0, in.read(bytes, 0, bytes.length));
                    return end > 0;
                }

                @Override
                public int read() throws IOException {
                    return next < end || fill() ? bytes[next++] & 0xFF : -1;
                }

                @Override
                public int read(byte[] to, int offset, int length) throws IOException {
                    if (next == end && !fill()) return -1;
                    int count = Math.min(length, end - next);
                    System.arraycopy(bytes, next, to, offset, count);
                    next += count;
                    return count;
                }

                @Override
                public void seek(long position) throws IOException {
                    if (position == getPos()) return;
                    in.seek(position);
                    next = end = 0;
                }

                @Override
                public long getPos() throws IOException {
                    return in.getPos() - (end - next);
                }

                @Override
                public void close() throws IOException {
                    in.close();
                }
            };
        }

        @Override
        public Optional<byte[]> asBytesIfInMemory() {
            return inner.asBytesIfInMemory();
        }

        @Override
        public PhysicalStateHandleID getStreamStateHandleID() {
            return inner.getStreamStateHandleID();
        }

        @Override
        public void discardState() {}

        @Override
        public long getStateSize() {
            return inner.getStateSize();
        }
    }

    // -------------------------------------------------------------------------------------------- slot

    /** What a task gives to a backend, with a directory of its own. */
    private static final class Slot implements AutoCloseable {
        private final String name;
        private final java.nio.file.Path directory;
        private final IOManager io;

        Slot(String name) throws IOException {
            this.name = name;
            String base = System.getProperty("millpond.directory", System.getProperty("java.io.tmpdir"));
            directory = Files.createTempDirectory(Paths.get(base), "flink-restore");
            io = new IOManagerAsync(directory.toString());
        }

        @SuppressWarnings({"unchecked", "rawtypes"})
        AbstractKeyedStateBackend<?> backend(TypeSerializer<?> key, Collection<KeyedStateHandle> handles) throws Exception {
            Configuration conf = new Configuration();
            conf.setString("state.backend.type", name);
            conf.setString("state.backend.incremental", "true");
            conf.setString("state.backend.rocksdb.localdir", directory.toString());
            conf.setString("state.backend.rocksdb.memory.fixed-per-slot", "512mb");
            ClassLoader loader = FlinkRestore.class.getClassLoader();
            StateBackend backend = StateBackendLoader.loadStateBackendFromConfig(conf, loader, null);
            return (AbstractKeyedStateBackend<?>)
                    backend.createKeyedStateBackend(
                            new KeyedStateBackendParametersImpl(
                                    environment(conf),
                                    new JobID(),
                                    "operator",
                                    key,
                                    MAX_PARALLELISM,
                                    KeyGroupRange.of(0, MAX_PARALLELISM - 1),
                                    null,
                                    TtlTimeProvider.DEFAULT,
                                    new UnregisteredMetricsGroup(),
                                    (metric, value) -> {},
                                    handles,
                                    new CloseableRegistry(),
                                    1.0));
        }

        private Environment environment(Configuration conf) throws Exception {
            Map<String, Object> info = new HashMap<>();
            info.put("getConfiguration", conf);
            info.put("getTmpDirectories", new String[] {directory.toString()});
            info.put("getTmpWorkingDirectory", directory.toFile());
            info.put("shouldExitJvmOnOutOfMemoryError", false);
            Map<String, Object> states = new HashMap<>();
            states.put("createLocalRecoveryConfig", LocalRecoveryConfig.BACKUP_AND_RECOVERY_DISABLED);
            states.put("getFileMergingSnapshotManager", null);
            Map<String, Object> of = new HashMap<>();
            of.put("getExecutionConfig", new ExecutionConfig());
            of.put("getJobID", new JobID());
            of.put("getTaskManagerInfo", answering(TaskManagerRuntimeInfo.class, info));
            of.put("getTaskStateManager", answering(TaskStateManager.class, states));
            of.put("getUserCodeClassLoader", SimpleUserCodeClassLoader.create(FlinkRestore.class.getClassLoader()));
            of.put("getMemoryManager", MemoryManager.create(64L << 20, MemoryManager.DEFAULT_PAGE_SIZE));
            of.put("getIOManager", io);
            return answering(Environment.class, of);
        }

        /** An object that answers some methods of an interface and refuses all others. */
        private static <T> T answering(Class<T> type, Map<String, Object> answers) {
            Object proxy =
                    Proxy.newProxyInstance(
                            type.getClassLoader(),
                            new Class<?>[] {type},
                            (self, method, arguments) -> {
                                if (answers.containsKey(method.getName())) return answers.get(method.getName());
                                if (method.getName().equals("toString")) return type.getSimpleName();
                                if (method.getName().equals("hashCode")) return System.identityHashCode(self);
                                throw new UnsupportedOperationException(type.getSimpleName() + "." + method.getName());
                            });
            return type.cast(proxy);
        }

        void dispose(AbstractKeyedStateBackend<?> backend) throws Exception {
            backend.close();
            backend.dispose();
        }

        @Override
        public void close() throws Exception {
            io.close();
            try (Stream<java.nio.file.Path> all = Files.walk(directory)) {
                for (java.nio.file.Path path : (Iterable<java.nio.file.Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                    Files.deleteIfExists(path);
                }
            }
        }
    }
}
