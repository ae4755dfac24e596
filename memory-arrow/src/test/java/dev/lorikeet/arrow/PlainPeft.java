package dev.lorikeet.arrow;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Computes {@code B A} from files, in double and with no code of the readers under test. */
final class PlainPeft {
  private final JsonNode header;
  private final byte[] file;
  private final int dataStart;

  PlainPeft(Path directory) throws IOException {
    file = Files.readAllBytes(directory.resolve("adapter_model.safetensors"));
    int length = (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
    header = new ObjectMapper().readTree(new String(file, 8, length, StandardCharsets.UTF_8));
    dataStart = 8 + length;
  }

  /** Returns a tensor as stored. */
  double[][] matrix(String name) {
    JsonNode entry = header.get(name);
    int rows = entry.get("shape").get(0).intValue();
    int columns = entry.get("shape").get(1).intValue();
    ElementType type = ElementType.valueOf(entry.get("dtype").asText());
    long at = dataStart + entry.get("data_offsets").get(0).longValue();
    double[][] matrix = new double[rows][columns];
    for (double[] row : matrix) {
      for (int c = 0; c < columns; c++) {
        row[c] = type.read(MemorySegment.ofArray(file), at);
        at += type.bytes();
      }
    }
    return matrix;
  }

  /** Returns {@code B A} of a module as a dense {@code [out, in]} matrix. */
  double[][] delta(TargetModule target, int aBlocks, int bBlocks) {
    String prefix = "base_model.model." + target.moduleName();
    return multiply(
        dense(matrix(prefix + ".lora_B.weight"), bBlocks),
        dense(matrix(prefix + ".lora_A.weight"), aBlocks));
  }

  /** Returns the block-diagonal matrix of blocks that are stacked along the first dimension. */
  private static double[][] dense(double[][] stacked, int blocks) {
    int rows = stacked.length;
    int columns = stacked[0].length;
    double[][] dense = new double[rows][columns * blocks];
    for (int r = 0; r < rows; r++) {
      int block = r / (rows / blocks);
      System.arraycopy(stacked[r], 0, dense[r], block * columns, columns);
    }
    return dense;
  }

  private static double[][] multiply(double[][] b, double[][] a) {
    double[][] product = new double[b.length][a[0].length];
    for (int o = 0; o < b.length; o++) {
      for (int i = 0; i < a[0].length; i++) {
        for (int r = 0; r < a.length; r++) {
          product[o][i] += b[o][r] * a[r][i];
        }
      }
    }
    return product;
  }

  /** Returns {@code B A} of weights in memory, as their views describe it. */
  static double[][] delta(LoraWeights weights) {
    double[][] a = rows(weights.a());
    double[][] b = rows(weights.b());
    double[][] product = new double[weights.b().width()][weights.a().width()];
    for (int o = 0; o < product.length; o++) {
      for (int i = 0; i < product[0].length; i++) {
        for (int r = 0; r < a.length; r++) {
          product[o][i] += b[r][o] * a[r][i];
        }
      }
    }
    return product;
  }

  private static double[][] rows(LoraFactor factor) {
    double[][] rows = new double[factor.rank()][factor.width()];
    for (int r = 0; r < factor.rank(); r++) {
      for (int i = 0; i < factor.rowLength(); i++) {
        long at = factor.rowOffset(r) + (long) i * factor.type().bytes();
        rows[r][factor.rowStart(r) + i] = factor.type().read(factor.memory(), at);
      }
    }
    return rows;
  }
}
