package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.host.step.AttentionBatch;
import dev.lorikeet.jlama.kernel.AttentionScratch;
import dev.lorikeet.jlama.kernel.AttentionShape;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.PagedAttention;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Attention of all layers of a 135 M Llama over keys and values in pages: sequences of 512
 * positions of which the last tokens are in the batch. As many sequences as tokens decode one each;
 * 64 and 256 tokens are a chunk of prefill of one sequence.
 */
@SuppressWarnings("NullAway.Init") // JMH sets parameters and calls open
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class AttentionBenchmark {
  /** Positions of a sequence. */
  public static final int LENGTH = 512;

  /** What the decoder chooses for this model. */
  private static final int BLOCK_TOKENS = 17;

  private static final int BLOCKS = Math.ceilDiv(LENGTH, BLOCK_TOKENS);

  @Param({"F16", "F32"})
  public String type;

  @Param({"1", "8", "64", "256"})
  public int tokens;

  private final ModelShape model = Preset.M135.shape();
  private final PagedAttention attention = Kernels.get().attention();
  private AttentionShape shape;
  private final Phases phases = new Phases();
  private Arena arena;
  private WorkerTeam team;
  private AttentionScratch scratch;
  private AttentionBatch batch;
  private MemorySegment pool;
  private Rows q;
  private Rows out;

  /** Returns how many sequences a batch of so many tokens has. */
  public static int sequences(int tokens) {
    return tokens > 8 ? 1 : tokens;
  }

  @Setup(Level.Trial)
  public void open() {
    shape =
        new AttentionShape(
            model.heads(),
            model.kvHeads(),
            model.headDim(),
            BLOCK_TOKENS,
            ElementType.valueOf(type));
    arena = Arena.ofShared();
    team = new WorkerTeam("bench", Runtime.getRuntime().availableProcessors());
    scratch = new AttentionScratch(shape, team.parallelism());
    long blocks = (long) model.layers() * sequences(tokens) * BLOCKS;
    pool =
        Operands.elements(arena, shape.type(), blocks * shape.blockBytes() / shape.type().bytes());
    int width = model.queryWidth();
    q = Rows.dense(Operands.floats(arena, (long) tokens * width), tokens, width);
    out = Rows.allocate(arena, tokens, width);
    batch = new Batch(tokens, shape.blockBytes());
  }

  private record Batch(int tokens, long blockBytes) implements AttentionBatch {
    @Override
    public int sequenceOf(int token) {
      return sequences(tokens) == 1 ? 0 : token;
    }

    @Override
    public int position(int token) {
      return sequences(tokens) == 1 ? LENGTH - tokens + token : LENGTH - 1;
    }

    @Override
    public long blockOffset(int sequence, int block, int layer) {
      int place = (layer * sequences(tokens) + sequence) * BLOCKS + block;
      return place * blockBytes;
    }
  }

  @Benchmark
  public Rows attend() {
    team.run(phases, 0, model.layers());
    return out;
  }

  /** One phase for each layer. */
  private final class Phases implements WorkerTeam.Phases {
    @Override
    public int parts(int phase) {
      return 8 * team.parallelism();
    }

    @Override
    public boolean repeatable(int phase) {
      return true;
    }

    @Override
    public void run(int phase, Shard shard) {
      attention.attend(shape, batch, phase, pool, q, out, scratch, shard);
    }
  }

  @TearDown(Level.Trial)
  public void close() {
    team.close();
    scratch.close();
    arena.close();
  }
}
