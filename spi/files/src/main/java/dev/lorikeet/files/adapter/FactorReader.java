package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.adapter.AdapterPlan.Placed;
import dev.lorikeet.files.adapter.AdapterPlan.PlacedPart;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.files.adapter.WeightSink.Factor;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Reads the weights of an adapter from a file, a chunk of whole lines at a time. Lines of a
 * narrower type than the module's are widened to it.
 *
 * @param bytes the open files
 * @param a how A lies in them
 * @param b how B does
 */
public record FactorReader(StoredBytes bytes, Factor a, Factor b) {
  /*
   * Idea: weights are read with positional reads into a small buffer instead of being mapped: a mapped file that
   * another process truncates kills the JVM's access with a fault, a read just ends early. The buffer stays in the
   * second-level cache, so the copy into pages costs little more than the read itself. Modules whose factors lie
   * interleaved in one tensor (those of the experts of a layer) are told of a chunk one after the other, so that it is
   * read once for all.
   * Cost: one pass over the file, CRC-32C included, which the CPU computes faster than memory delivers.
   */
  private static final int CHUNK_BYTES = 256 << 10;

  /** Reads everything in order; returns a digest of the description and the weights. */
  public long read(AdapterPlan plan, WeightSink sink) throws IOException {
    List<Placed> placed = plan.placed();
    long digest = 0;
    try (Arena arena = Arena.ofConfined()) {
      Chunks chunks = new Chunks(arena);
      for (int t = 0; t < placed.size(); t++) {
        Placed at = placed.get(t);
        digest = 31 * digest + at.spec().hashCode();
        digest = 31 * digest + read(new Lines(a, placed, t, t + 1), sink, chunks);
        if (t == 0 || !isInterleaved(placed.get(t - 1).b(), at.b())) {
          int end = t + 1;
          while (end < placed.size() && isInterleaved(at.b(), placed.get(end).b())) {
            end++;
          }
          digest = 31 * digest + read(new Lines(b, placed, t, end), sink, chunks);
        }
        if (at.magnitude().isPresent()) {
          digest = 31 * digest + read(new Lines(Factor.MAGNITUDE, placed, t, t + 1), sink, chunks);
        }
      }
      for (int p = 0; p < plan.placedParts().size(); p++) {
        digest = 31 * digest + plan.parts().get(p).hashCode();
        digest = 31 * digest + read(p, plan.placedParts().get(p), sink, chunks);
      }
    }
    return digest;
  }

  private static boolean isInterleaved(Stored stored, Stored next) {
    return stored.step() > 1 && stored.step() == next.step() && stored.begin() == next.begin();
  }

  /**
   * A factor of one module, or of several that are interleaved.
   *
   * @param factor which
   * @param placed all modules
   * @param from the first of them
   * @param to the end of them
   */
  private record Lines(Factor factor, List<Placed> placed, int from, int to) {
    Stored stored(int target) {
      Placed at = placed.get(target);
      return switch (factor) {
        case A, A_BY_INPUT -> at.a();
        case B_BY_OUTPUT, B_BY_ROW -> at.b();
        case MAGNITUDE -> at.magnitude().orElseThrow();
      };
    }

    TargetSpec spec(int target) {
      return placed.get(target).spec();
    }

    ElementType type() {
      return factor == Factor.MAGNITUDE ? ElementType.F32 : spec(from).type();
    }

    int count() {
      TargetSpec spec = spec(from);
      return switch (factor) {
        case A, B_BY_ROW -> spec.rank();
        case A_BY_INPUT -> spec.inFeatures();
        case B_BY_OUTPUT -> spec.outFeatures();
        case MAGNITUDE -> 1;
      };
    }

    int length() {
      TargetSpec spec = spec(from);
      return switch (factor) {
        case A -> spec.inFeatures() / spec.aBlocks();
        case A_BY_INPUT -> spec.rank();
        case B_BY_OUTPUT -> spec.rank() / spec.bBlocks();
        case B_BY_ROW -> spec.outFeatures() / spec.bBlocks();
        case MAGNITUDE -> spec.outFeatures();
      };
    }
  }

  /** Memory for what is read at a time, as it is stored and as it is handed on; grows. */
  private static final class Chunks {
    private final Arena arena;
    private MemorySegment read = MemorySegment.NULL;
    private MemorySegment wide = MemorySegment.NULL;

    Chunks(Arena arena) {
      this.arena = arena;
    }

    MemorySegment read(long bytes) {
      if (read.byteSize() < bytes) {
        read = arena.allocate(Math.max(CHUNK_BYTES, bytes), 64);
      }
      return read.asSlice(0, bytes);
    }

    MemorySegment wide(long bytes) {
      if (wide.byteSize() < bytes) {
        wide = arena.allocate(Math.max(CHUNK_BYTES, bytes), 64);
      }
      return wide.asSlice(0, bytes);
    }
  }

  private long read(Lines lines, WeightSink sink, Chunks chunks) throws IOException {
    CRC32C crc = new CRC32C();
    Stored first = lines.stored(lines.from());
    int length = lines.length();
    long stride = first.stride() > 0 ? first.stride() : (long) length * first.step();
    float[] multipliers = multipliers(first, lines.count(), crc);
    int most = linesAtOnce(stride, first.type(), (long) length * lines.type().bytes());
    for (int line = 0; line < lines.count(); line += most) {
      int count = Math.min(most, lines.count() - line);
      long span =
          (count - 1) * stride + (long) length * first.step(); // of parts of wider lines, too
      MemorySegment data =
          read(first.begin() + line * stride * first.type().bytes(), span, first.type(), chunks);
      crc.update(data.asByteBuffer());
      for (int target = lines.from(); target < lines.to(); target++) {
        Stored stored = lines.stored(target);
        MemorySegment handed = data;
        if (!isAsStored(stored, lines.type(), stride, length)) {
          handed = chunks.wide((long) count * length * lines.type().bytes());
          var view = new View(stored, stride, length, line, multipliers);
          convert(view, data, lines.type(), handed);
        }
        sink.accept(target, lines.spec(target), lines.factor(), line, count, handed);
      }
    }
    return crc.getValue();
  }

  private long read(int part, PlacedPart placed, WeightSink sink, Chunks chunks)
      throws IOException {
    CRC32C crc = new CRC32C();
    PartSpec spec = placed.spec();
    Stored stored = placed.stored();
    int length = spec.columns();
    int most = linesAtOnce(length, stored.type(), spec.rowBytes());
    for (int row = 0; row < spec.rows(); row += most) {
      int count = Math.min(most, spec.rows() - row);
      long begin = stored.begin() + (long) row * length * stored.type().bytes();
      MemorySegment data = read(begin, (long) count * length, stored.type(), chunks);
      crc.update(data.asByteBuffer());
      if (stored.type() != spec.type()) {
        MemorySegment wide = chunks.wide((long) count * spec.rowBytes());
        var view = new View(stored, length, length, row, new float[0]);
        convert(view, data, spec.type(), wide);
        data = wide;
      }
      sink.acceptPart(part, spec, row, count, data);
    }
    return crc.getValue();
  }

  private static int linesAtOnce(long stride, ElementType type, long lineBytes) {
    return (int) Math.max(1, CHUNK_BYTES / Math.max(stride * type.bytes(), lineBytes));
  }

  private static boolean isAsStored(Stored stored, ElementType type, long stride, int length) {
    return stored.type() == type
        && stride == length
        && stored.step() == 1
        && stored.multipliers().isEmpty();
  }

  private MemorySegment read(long begin, long elements, ElementType type, Chunks chunks)
      throws IOException {
    MemorySegment data = chunks.read(elements * type.bytes());
    ByteBuffer buffer = data.asByteBuffer();
    bytes.readFully(buffer, begin);
    return data;
  }

  private float[] multipliers(Stored lines, int count, CRC32C crc) throws IOException {
    if (lines.multipliers().isEmpty()) {
      return new float[0];
    }
    Stored stored = lines.multipliers().get();
    byte[] read = new byte[Math.multiplyExact(count, stored.type().bytes())];
    bytes.readFully(ByteBuffer.wrap(read), stored.begin());
    crc.update(read);
    MemorySegment data = MemorySegment.ofArray(read);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = stored.type().read(data, (long) i * stored.type().bytes());
    }
    return values;
  }

  /**
   * Lines in a chunk.
   *
   * @param stored where they are
   * @param stride elements from one to the next
   * @param length elements of one
   * @param first the number of the first
   * @param multipliers of all lines of the factor; none where nothing is multiplied
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record View(Stored stored, long stride, int length, int first, float[] multipliers) {}

  /** Every value of every type is a float32, so nothing is rounded but products. */
  private static void convert(View view, MemorySegment from, ElementType type, MemorySegment to) {
    Stored stored = view.stored();
    long lines = to.byteSize() / ((long) view.length() * type.bytes());
    long at = 0;
    for (int line = 0; line < lines; line++) {
      float factor = view.multipliers.length > 0 ? view.multipliers[view.first() + line] : 1;
      long element = line * view.stride() + stored.first();
      for (int i = 0; i < view.length(); i++) {
        float value = stored.type().read(from, element * stored.type().bytes());
        type.write(to, at, factor * value);
        at += type.bytes();
        element += stored.step();
      }
    }
  }
}
