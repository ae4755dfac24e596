package dev.lorikeet.conformance.model;

import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;

/**
 * The keys and values of one sequence in pages of the pool. A page holds some positions, one after
 * the other; a position holds, for each layer, the key and then the value, in F32.
 */
final class PagedKeyValues implements PlainTransformer.KeyValues {
  private final PagePool pool;
  private final int[] pages;
  private final int width;
  private final int positionsPerPage;
  private final int[] lengths;

  /** Keeps to these pages, whoever else does. */
  PagedKeyValues(PagePool pool, ModelShape shape, int[] pages) {
    this.pool = pool;
    this.pages = pages.clone();
    width = shape.kvHeads() * shape.headDim();
    positionsPerPage = positionsPerPage(pool, shape);
    lengths = new int[shape.layers()];
  }

  /** Returns how many positions' keys and values a page holds. */
  static int positionsPerPage(PagePool pool, ModelShape shape) {
    int floats = 2 * shape.layers() * shape.kvHeads() * shape.headDim();
    return pool.pageBytes() / (floats * ElementType.F32.bytes());
  }

  @Override
  public void append(int layer, double[] key, double[] value) {
    int position = lengths[layer]++;
    write(position, 2 * layer, key);
    write(position, 2 * layer + 1, value);
  }

  @Override
  public List<double[]> keys(int layer) {
    return rows(layer, 2 * layer);
  }

  @Override
  public List<double[]> values(int layer) {
    return rows(layer, 2 * layer + 1);
  }

  private List<double[]> rows(int layer, int row) {
    List<double[]> rows = new ArrayList<>();
    for (int position = 0; position < lengths[layer]; position++) {
      var page = pool.page(pages[position / positionsPerPage]);
      double[] read = new double[width];
      for (int i = 0; i < width; i++) {
        read[i] = ElementCodec.get(page, ElementType.F32, index(position, row) + i);
      }
      rows.add(read);
    }
    return rows;
  }

  private void write(int position, int row, double[] values) {
    var page = pool.page(pages[position / positionsPerPage]);
    for (int i = 0; i < width; i++) {
      ElementCodec.set(page, ElementType.F32, index(position, row) + i, (float) values[i]);
    }
  }

  private long index(int position, int row) {
    return ((long) (position % positionsPerPage) * 2 * lengths.length + row) * width;
  }
}
