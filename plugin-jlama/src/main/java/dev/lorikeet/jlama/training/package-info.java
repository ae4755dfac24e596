/** Forward and backward of training on the CPU, with the weights and kernels of the decoder. */
@NullMarked
package dev.lorikeet.jlama.training;

import org.jspecify.annotations.NullMarked;
