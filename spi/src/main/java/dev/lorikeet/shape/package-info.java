/**
 * What a model looks like without its weights: sizes, layers, projections, and the modules of them
 * that adapters change.
 */
@NullMarked
package dev.lorikeet.shape;

import org.jspecify.annotations.NullMarked;
