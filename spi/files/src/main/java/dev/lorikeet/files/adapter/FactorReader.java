package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.adapter.AdapterPlan.Placed;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.files.adapter.WeightSink.Factor;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Reads the factors of an adapter from a file, a chunk of whole lines at a time. Lines of a
 * narrower type than the module's are widened to it.
 *
 * @param file the file, for messages
 * @param channel the open file
 * @param b how B lies in it
 */
public record FactorReader(Path file, FileChannel channel, Factor b) {
  /*
   * Idea: weights are read with positional reads into a small buffer instead of being mapped: a mapped file that
   * another process truncates kills the JVM's access with a fault, a read just ends early. The buffer stays in the
   * second-level cache, so the copy into pages costs little more than the read itself.
   * Cost: one pass over the file, CRC-32C included, which the CPU computes faster than memory delivers.
   */
  private static final int CHUNK_BYTES = 256 << 10;

  /** Reads all factors in order; returns a digest of the description and the weights. */
  public long read(List<Placed> placed, WeightSink sink) throws IOException {
    int longest = placed.stream().mapToInt(at -> longestLine(at.spec())).max().orElseThrow();
    long digest = 0;
    try (Arena arena = Arena.ofConfined()) {
      long bytes = Math.max(CHUNK_BYTES, longest);
      MemorySegment chunk = arena.allocate(bytes, 64);
      MemorySegment wide =
          placed.stream().anyMatch(Placed::isWidened) ? arena.allocate(bytes, 64) : chunk;
      Chunks chunks = new Chunks(chunk, wide);
      for (int t = 0; t < placed.size(); t++) {
        Placed at = placed.get(t);
        digest = 31 * digest + at.spec().hashCode();
        digest = 31 * digest + read(sink, t, at.spec(), Factor.A, at.a(), chunks);
        digest = 31 * digest + read(sink, t, at.spec(), b, at.b(), chunks);
        if (at.magnitude().isPresent()) {
          Stored magnitude = at.magnitude().get();
          digest = 31 * digest + read(sink, t, at.spec(), Factor.MAGNITUDE, magnitude, chunks);
        }
      }
    }
    return digest;
  }

  private int longestLine(TargetSpec spec) {
    int ofFactors = Math.max(lineBytes(spec, Factor.A), lineBytes(spec, b));
    return spec.magnitude() ? Math.max(ofFactors, lineBytes(spec, Factor.MAGNITUDE)) : ofFactors;
  }

  private static int lineBytes(TargetSpec spec, Factor factor) {
    return switch (factor) {
      case A -> spec.aRowBytes();
      case B_BY_OUTPUT -> spec.rank() / spec.bBlocks() * spec.type().bytes();
      case B_BY_ROW -> spec.bRowBytes();
      case MAGNITUDE -> Math.multiplyExact(spec.outFeatures(), spec.type().bytes());
    };
  }

  /**
   * Memory for what is read at a time.
   *
   * @param read for lines as they are stored
   * @param wide for lines in the module's type
   */
  private record Chunks(MemorySegment read, MemorySegment wide) {}

  private long read(
      WeightSink sink, int target, TargetSpec spec, Factor factor, Stored stored, Chunks chunks)
      throws IOException {
    CRC32C crc = new CRC32C();
    int lineBytes = lineBytes(spec, factor);
    int lines =
        switch (factor) {
          case A, B_BY_ROW -> spec.rank();
          case B_BY_OUTPUT -> spec.outFeatures();
          case MAGNITUDE -> 1;
        };
    int storedBytes = lineBytes / spec.type().bytes() * stored.type().bytes();
    int most = (int) (chunks.wide().byteSize() / lineBytes);
    for (int line = 0; line < lines; line += most) {
      int count = Math.min(most, lines - line);
      MemorySegment data = chunks.read().asSlice(0, (long) count * storedBytes);
      ByteBuffer buffer = data.asByteBuffer();
      UntrustedFile.readFully(
          Faults.ADAPTER, file, channel, buffer, stored.begin() + (long) line * storedBytes);
      crc.update(buffer.flip());
      if (stored.type() != spec.type()) {
        MemorySegment wide = chunks.wide().asSlice(0, (long) count * lineBytes);
        widen(data, stored.type(), wide);
        data = wide;
      }
      sink.accept(target, spec, factor, line, count, data);
    }
    return crc.getValue();
  }

  /** Every value of every type is a float32, so nothing is rounded. */
  private static void widen(MemorySegment from, ElementType type, MemorySegment to) {
    long count = to.byteSize() / Float.BYTES;
    for (long i = 0; i < count; i++) {
      ElementType.F32.write(to, i * Float.BYTES, type.read(from, i * type.bytes()));
    }
  }
}
