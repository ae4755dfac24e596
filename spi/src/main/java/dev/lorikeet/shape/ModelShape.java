package dev.lorikeet.shape;

/**
 * The sizes of a decoder-only transformer with grouped-query attention and an MLP, and the linear
 * layers of its blocks.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
 *
 * @param layers number of decoder layers
 * @param hidden width of the residual stream
 * @param intermediate width of the MLP
 * @param heads number of query heads
 * @param kvHeads number of key and value heads; divides {@code heads}
 * @param headDim width of one head
 * @param vocabulary number of token ids
 * @param modules the linear layers of a block and their names in files
 */
public record ModelShape(
    int layers,
    int hidden,
    int intermediate,
    int heads,
    int kvHeads,
    int headDim,
    int vocabulary,
    ModuleNames modules) {

  public ModelShape {
    if (layers < 1
        || hidden < 1
        || intermediate < 1
        || heads < 1
        || kvHeads < 1
        || headDim < 1
        || vocabulary < 1) {
      throw new IllegalArgumentException(
          "model shape: expected sizes of at least 1, found layers "
              + layers
              + ", hidden "
              + hidden
              + ", intermediate "
              + intermediate
              + ", heads "
              + heads
              + ", kvHeads "
              + kvHeads
              + ", headDim "
              + headDim
              + ", vocabulary "
              + vocabulary);
    }
    if (heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "model shape: expected heads to be a multiple of kvHeads, found "
              + heads
              + " and "
              + kvHeads);
    }
  }

  /** Returns the width of the query and of the attention output: {@code heads * headDim}. */
  public int queryWidth() {
    return heads * headDim;
  }

  /** Returns the width of a key or a value: {@code kvHeads * headDim}. */
  public int kvWidth() {
    return kvHeads * headDim;
  }

  /** Returns the number of input features of a projection. */
  public int inFeatures(Projection projection) {
    return switch (projection) {
      case Q, K, V, GATE, UP, ROUTER, LM_HEAD -> hidden;
      case O -> queryWidth();
      case DOWN -> intermediate;
      case EMBED -> vocabulary;
    };
  }

  /** Returns the number of output features of a projection; 0 of a router that is not there. */
  public int outFeatures(Projection projection) {
    return switch (projection) {
      case Q -> queryWidth();
      case K, V -> kvWidth();
      case O, DOWN, EMBED -> hidden;
      case GATE, UP -> intermediate;
      case ROUTER -> modules.experts().map(ModuleNames.Experts::count).orElse(0);
      case LM_HEAD -> vocabulary;
    };
  }

  /** Returns the number of output features of a module: those of all its projections. */
  public int outFeatures(ModuleNames.Module module) {
    return module.parts().stream().mapToInt(this::outFeatures).sum();
  }

  /** Returns which of its module's rows is the first of a projection that the model has. */
  public int firstRow(Projection projection) {
    int row = 0;
    for (Projection part : modules.of(projection).orElseThrow().parts()) {
      if (part == projection) {
        return row;
      }
      row += outFeatures(part);
    }
    throw new IllegalStateException("module without " + projection);
  }

  /** Returns a builder; each size is to be set. */
  public static Builder builder() {
    return new Builder();
  }

  /** Returns a builder that has these sizes. */
  public Builder toBuilder() {
    return new Builder()
        .layers(layers)
        .hidden(hidden)
        .intermediate(intermediate)
        .heads(heads)
        .kvHeads(kvHeads)
        .headDim(headDim)
        .vocabulary(vocabulary)
        .modules(modules);
  }

  /** Builds shapes. */
  public static final class Builder {
    private int layers;
    private int hidden;
    private int intermediate;
    private int heads;
    private int kvHeads;
    private int headDim;
    private int vocabulary;
    private ModuleNames modules = ModuleNames.LLAMA;

    private Builder() {}

    /** Sets the number of decoder layers. */
    public Builder layers(int value) {
      layers = value;
      return this;
    }

    /** Sets the width of the residual stream. */
    public Builder hidden(int value) {
      hidden = value;
      return this;
    }

    /** Sets the width of the MLP. */
    public Builder intermediate(int value) {
      intermediate = value;
      return this;
    }

    /** Sets the number of query heads. */
    public Builder heads(int value) {
      heads = value;
      return this;
    }

    /** Sets the number of key and value heads. */
    public Builder kvHeads(int value) {
      kvHeads = value;
      return this;
    }

    /** Sets the width of one head. */
    public Builder headDim(int value) {
      headDim = value;
      return this;
    }

    /** Sets the number of token ids. */
    public Builder vocabulary(int value) {
      vocabulary = value;
      return this;
    }

    /** Sets the linear layers of a block; those of Llama by default. */
    public Builder modules(ModuleNames value) {
      modules = value;
      return this;
    }

    /** Returns the shape. */
    public ModelShape build() {
      return new ModelShape(
          layers, hidden, intermediate, heads, kvHeads, headDim, vocabulary, modules);
    }
  }
}
